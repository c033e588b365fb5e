"""The code location for others: Dagster's own commands, and a deployment with another location."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from dagster_project.definitions import build_defs, rooted
from dagster_project.home import ROOT
from targen.settings import Settings
from targen.steps import STEPS

THEIRS = """\
import dagster as dg


@dg.asset(deps=[dg.AssetKey(["nlp", "targen", "corrected_set"])])
def training_rows() -> None:
    \"\"\"Made of the finished rows of the other location.\"\"\"


defs = dg.Definitions([training_rows])
"""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("TARGEN_")}
    known |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    return known | {"DAGSTER_HOME": str(folder), **changes}


def call(folder: Path, where: Path, *command: str, **changes: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=where, env=environment(folder, **changes), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def dg(folder: Path, *arguments: str) -> str:
    script = "from dagster_dg_cli.cli import main; main()"
    return call(folder, ROOT, "-c", script, *arguments)


def test_dg_lists_and_checks_the_definitions(tmp_path: Path) -> None:
    text = dg(tmp_path, "list", "defs", "--json")
    listed = json.loads(text[text.index("{") :])
    groups = {asset["asset_key"]: asset["group_name"] for asset in listed["assets"]}
    assert set(groups) == {*STEPS, "comparison", "release", "targets"}
    assert groups["instances"] == "generation" and groups["corrected_set"] == "labeling"
    assert groups["quality_report"] == "quality" and groups["release"] == "publishing"
    assert "validated successfully" in dg(tmp_path, "check", "defs")


def test_the_command_line_materializes_a_partition(tmp_path: Path) -> None:
    command = ["-m", "dagster", "asset", "materialize", "--select", "vocabularies"]
    command += ["--partition", "rte", "-m", "dagster_project.definitions"]
    call(tmp_path, ROOT, *command, TARGEN_DATA_DIR=str(tmp_path / "data"), TARGEN_ROWS="6")
    assert (tmp_path / "data/vocabularies/rte.parquet").exists()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve the location from another folder, with a prefix."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--module-name", "dagster_project.definitions"]
    command += ["--working-directory", str(ROOT)]
    known = environment(tmp_path, TARGEN_KEY_PREFIX="nlp/targen")
    with subprocess.Popen(command, cwd=tmp_path, env=known, stderr=subprocess.DEVNULL) as server:
        for _ in range(600):
            with socket.socket() as probe:
                if server.poll() is not None or not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.2)
        yield port
        server.terminate()


def test_an_asset_of_another_location_depends_on_the_finished_rows(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    module = f"module_name: dagster_project.definitions, working_directory: {ROOT}"
    by_path = f"executable_path: {sys.executable}, location_name: by path"
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        "load_from:\n"
        f"  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: served}}\n"
        f"  - python_module: {{{module}, {by_path}}}\n"
        f"  - python_file: {{relative_path: theirs.py, location_name: theirs}}\n"
    )
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TARGEN_KEY_PREFIX", raising=False)
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as process,
    ):
        context = process.create_request_context()
        errors = [entry.load_error for entry in context.get_code_location_entries().values()]
        assert not any(errors), errors
        graph = context.asset_graph
        rows = AssetKey(["nlp", "targen", "corrected_set"])
        assert AssetKey(["corrected_set"]) in graph.get_all_asset_keys()
        assert graph.get(AssetKey(["training_rows"])).parent_keys == {rows}
        # The tasks are those of the checkout, although neither process is there.
        assert "rte" in graph.get(rows).partitions_def.get_partition_keys()


def test_jobs_keep_their_names_with_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_KEY_PREFIX", "nlp/targen")
    monkeypatch.chdir(ROOT)
    job = build_defs().resolve_job_def("dataset")
    keys = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert keys == {f"nlp/targen/{step}" for step in STEPS}


def test_folders_that_are_set_are_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert rooted(Settings()).tasks_dir == str(ROOT / "tasks")
    assert rooted(Settings(data_dir="s3://b/x")).data_dir == "s3://b/x"
    assert rooted(Settings(tasks_dir="mine")).recipes_dir == "recipes"
    (tmp_path / "tasks").mkdir()
    assert rooted(Settings()) == Settings()
