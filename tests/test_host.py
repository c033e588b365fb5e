"""TarGEN in another Dagster project: the component of the installed wheel, and its assets in use.

The project is `tests/host`. Docs: `docs/integration.md`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import wheel
from tests.support.specs import ROOT

RUN = """
import json
from dagster import AssetKey, DagsterInstance
from host.definitions import defs

def made(result):
    assert result.success
    return {
        event.asset_key.to_user_string(): {
            name: entry.value
            for name, entry in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }

built, found = defs(), {}
with DagsterInstance.ephemeral() as instance:
    def job(name, **options):
        job = built.resolve_job_def(name)
        found.update(made(job.execute_in_process(instance=instance, **options)))
    def asset(name, **options):
        whole = built.resolve_implicit_global_asset_job_def()
        only = [AssetKey(name)]
        found.update(
            made(whole.execute_in_process(instance=instance, asset_selection=only, **options))
        )
    job("tickets_dataset", partition_key="tickets")
    asset("training_rows", partition_key="tickets")
    job("tickets_publish", partition_key="tickets")
    asset("released_rows")
repository = built.get_repository_def()
print(json.dumps({
    "made": {name: {k: v for k, v in one.items() if isinstance(v, (int, str, list))}
             for name, one in found.items()},
    "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
    "checks": sorted(key.to_user_string() for key in repository.asset_graph.asset_check_keys),
    "groups": {key.to_user_string(): repository.asset_graph.get(key).group_name
               for key in repository.asset_graph.get_all_asset_keys()},
    "jobs": sorted(job.name for job in repository.get_all_jobs()),
    "resources": sorted(repository.get_top_level_resources()),
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "tests/host", tmp_path / "host")
    return tmp_path / "host"


def run(site: Path, host: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TARGEN_")
    }
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(site), str(host / "src")]),
        "DAGSTER_HOME": str(host),
        "PYTHONWARNINGS": "ignore",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    environment.pop("OPENAI_API_KEY", None)
    return subprocess.run(
        command, cwd=host, env=environment, capture_output=True, text=True, check=False
    )


def dg(site: Path, host: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = "from dagster_dg_cli.cli import main; main()"
    return run(site, host, sys.executable, "-c", script, *arguments)


def test_a_project_makes_reads_and_releases_rows(site: Path, host: Path) -> None:
    done = run(site, host, sys.executable, "-c", RUN)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    made = found["made"]
    assert made["tickets/corrected_set"]["dagster/row_count"] == 6
    assert made["tickets/quality_report"]["rows"] == 6
    assert sorted(made["training_rows"]["labels"]) == ["normal"] * 3 + ["urgent"] * 3
    assert made["released_rows"]["rows"] == 6
    # The server of pages is not part of `dg dev`, so there is a path instead of a dead link.
    report = host / "data/quality_report/tickets.html"
    assert made["tickets/quality_report"]["report"] == str(report) and report.exists()
    # Two components and the project's own assets, jobs and resources are beside each other.
    assert {"tickets/corrected_set", "reviews/corrected_set", "training_rows"} <= {*found["assets"]}
    assert "tickets/quality_report:gate_rows" in found["checks"]
    assert found["groups"]["reviews/release"] == "reviews"
    assert found["groups"]["tickets/release"] == "publishing"
    assert {"tickets_dataset", "reviews_dataset"} <= {*found["jobs"]}
    assert {"targen_tickets_io_manager", "targen_reviews_llm"} <= {*found["resources"]}


def test_the_component_is_listed_scaffolded_and_checked(site: Path, host: Path) -> None:
    listed = dg(site, host, "list", "components")
    assert "targen_dagster.TargenComponent" in listed.stdout, listed.stderr
    made = dg(site, host, "scaffold", "defs", "targen_dagster.TargenComponent", "fresh")
    assert made.returncode == 0, made.stderr
    file = host / "src/host/defs/fresh/defs.yaml"
    assert yaml.safe_load(file.read_text())["attributes"]["task"]["name"] == "fresh"
    checked = dg(site, host, "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    file.write_text(file.read_text().replace("kind: class", "kind: clas"))
    checked = dg(site, host, "check", "defs")
    assert checked.returncode != 0
    assert "fresh/defs.yaml: task.answer.kind" in checked.stdout + checked.stderr
