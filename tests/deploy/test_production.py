"""Production's dagster.yaml: Dagster takes it, and retries what is worth it and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus, Failure, job, op
from dagster._core.instance.config import dagster_instance_config
from dagster._core.test_utils import instance_for_test
from ruamel.yaml import YAML

from tests.support.specs import ROOT

FILE = ROOT / "deploy" / "production" / "dagster.yaml"
VARIABLES = (
    "DAGSTER_POSTGRES_URL",
    "TARGEN_CELERY_BROKER",
    "TARGEN_CELERY_BACKEND",
    "TARGEN_LOGS_BUCKET",
)


@pytest.fixture
def settings() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(FILE)
    return loaded


def test_dagster_takes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "redis://127.0.0.1:1/0")
    (tmp_path / "dagster.yaml").write_text(FILE.read_text())
    found, _ = dagster_instance_config(str(tmp_path))
    assert found["run_launcher"]["class"] == "BeatingCeleryRunLauncher"


def test_every_place_and_secret_comes_from_the_environment() -> None:
    text = FILE.read_text()
    assert all(f"env: {name}" in text for name in VARIABLES)
    assert "://" not in text


def test_recovery_takes_less_than_three_minutes(settings: dict[str, Any]) -> None:
    from dagster_project.celery_launcher import GRACE_S, SILENT_S

    monitoring = settings["run_monitoring"]
    # Forgotten, noticed by one poll, believed by another after the grace, and one queue's turn.
    noticed = SILENT_S + GRACE_S + 2 * monitoring["poll_interval_seconds"]
    assert noticed <= 60
    # A run whose message was lost with Redis.
    assert monitoring["start_timeout_seconds"] + monitoring["poll_interval_seconds"] < 180


@job
def failing() -> None:
    @op
    def refuse() -> None:
        raise Failure("a refused key", allow_retries=False)

    refuse()


@job
def dying() -> None:
    @op
    def nothing() -> None:
        return None

    nothing()


def test_a_permanent_failure_is_not_retried_and_a_lost_process_is(
    settings: dict[str, Any],
) -> None:
    with instance_for_test(overrides={"run_retries": settings["run_retries"]}) as instance:
        refused = failing.execute_in_process(instance=instance, raise_on_error=False)
        run = instance.get_run_by_id(refused.run_id)
        assert run is not None and run.status == DagsterRunStatus.FAILURE
        assert run.tags["dagster/will_retry"] == "false"

        lost = instance.create_run_for_job(dying, status=DagsterRunStatus.STARTED)
        instance.report_run_failed(lost, "no sign of life")
        run = instance.get_run_by_id(lost.run_id)
        assert run is not None and run.tags["dagster/will_retry"] == "true"
