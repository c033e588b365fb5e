"""The job `preview`."""

import pytest
from dagster import DagsterEventType

from dagster_project.definitions import build_defs
from dagster_project.jobs import PREVIEW_JOB


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    for name in ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_ROWS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_it_shows_rows_and_prompts_and_materializes_nothing(tmp_path):
    job = build_defs().get_job_def(PREVIEW_JOB)
    config = {"ops": {"preview_rows": {"config": {"rows": 2}}}}
    run = job.execute_in_process(partition_key="copa", run_config=config)
    assert run.success
    (output,) = run.filter_events(lambda e: e.event_type == DagsterEventType.STEP_OUTPUT)
    metadata = output.step_output_data.metadata
    assert metadata["rows"].value == 2 and metadata["calls"].value > 4
    text = metadata["preview"].value
    assert "## Row 2" in text and "the labels of a data set" in text
    assert "`in all`" in metadata["costs"].value
    assert not run.filter_events(lambda e: e.event_type == DagsterEventType.ASSET_MATERIALIZATION)
    files = {p.name.split(".db")[0] for p in (tmp_path / "data").rglob("*") if p.is_file()}
    assert files == {"completions"}
