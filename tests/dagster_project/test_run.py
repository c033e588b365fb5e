"""`make run` from end to end, on the simulator: what it leaves behind, and how it fails."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import polars as pl
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from dagster_project import failure, home, run
from resources.data import DataFolder
from targen.steps import STEPS

OURS = ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_BUDGET_USD", "OPENAI_BASE_URL")
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(autouse=True)
def settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(work / "home"))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(work / "data"))
    monkeypatch.setenv("TARGEN_ROWS", "6")
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    monkeypatch.chdir(home.ROOT)
    yield


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run.main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture(scope="module")
def first(work: Path) -> str:
    """Make rte once, in a process of its own, as `make` does; return what it said."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in OURS},
        "DAGSTER_HOME": str(work / "home"),
        "TARGEN_DATA_DIR": str(work / "data"),
        "TARGEN_ROWS": "6",
        "TARGEN_EXPECTATIONS": "off",
    }
    command = [sys.executable, "-m", "dagster_project.run", "rte"]
    done = subprocess.run(
        command, cwd=home.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".html", ".json")
    }


def test_a_run_leaves_every_table_and_says_little(first: str, work: Path) -> None:
    data = work / "data"
    expected = {f"{step}/rte.parquet" for step in STEPS}
    expected |= {f"rejected/{step}/rte.parquet" for step in STEPS if step != "quality_report"}
    expected |= {"quality_report/rte.html", "quality_report/rte.json"}
    expected |= {f"targets/rte.{suffix}" for suffix in ("parquet", "html")}
    assert set(files(data)) == expected
    made = pl.read_parquet(data / "corrected_set/rte.parquet")
    assert sorted(made["label"]) == ["entailment"] * 3 + ["not_entailment"] * 3
    lines = first.splitlines()
    assert sum(line.startswith("rte  ") for line in lines) <= len(STEPS) + 4
    assert f"  {data / 'quality_report/rte.html'}" in lines
    assert lines[-5].startswith("Gates of rte (simulated rows): ")


def test_a_base_that_nobody_extends(shell: Shell) -> None:
    assert "no task extends 'wic'" in failing(shell("--compare", "wic"))


def test_the_instance_knows_the_run(first: str) -> None:
    with DagsterInstance.get() as instance:
        (record,) = instance.get_runs(limit=1)
        assert record.status == DagsterRunStatus.SUCCESS
        assert record.tags["dagster/partition"] == "rte"
        for step in STEPS:
            event = instance.get_latest_materialization_event(AssetKey(step))
            assert event is not None and event.asset_materialization is not None
            made = event.asset_materialization
            found = {name: entry.value for name, entry in made.metadata.items()}
            assert len(str(found["step_digest"])) == 64
            assert made.tags is not None
            assert made.tags["dagster/data_version"] == found["data_version"]
            assert str(found["sample"]).count("\n") >= 2
            assert found["dagster/column_schema"].columns


def test_a_second_run_asks_nothing_and_changes_nothing(
    first: str, work: Path, shell: Shell
) -> None:
    before = files(work / "data")
    versions = latest("data_version")
    status, out, err = shell("rte")
    assert (status, err) == (0, "")
    assert set(latest("calls").values()) == {0}
    assert sum(latest("found_in_store").values()) > 20
    assert latest("data_version") == versions and len(versions) == len(STEPS)
    assert files(work / "data") == before
    assert "rte" in out


def latest(name: str) -> dict[str, int]:
    with DagsterInstance.get() as instance:
        made = {step: instance.get_latest_materialization_event(AssetKey(step)) for step in STEPS}
        return {
            step: event.asset_materialization.metadata[name].value
            for step, event in made.items()
            if event
            and event.asset_materialization
            and name in event.asset_materialization.metadata
        }


def failing(said: tuple[int, str, str]) -> str:
    """Return the one line of a run that failed as it should."""
    status, _, err = said
    assert status != 0
    assert err.count("\n") == 1 and err.startswith("error: ") and "Traceback" not in err
    return err


def test_a_task_that_does_not_exist_is_named_with_the_nearest(shell: Shell) -> None:
    assert "did you mean 'rte'?" in failing(shell("rtee"))


def test_no_task_at_all(shell: Shell) -> None:
    assert "make run TASK=rte" in failing(shell())


def test_a_running_partition_is_left_alone(first: str, work: Path, shell: Shell) -> None:
    before = files(work / "data")
    holder = DataFolder(data_dir=str(work / "data"))
    holder.hold("rte", "the-other-run")
    try:
        assert "being made by run the-other-run" in failing(shell("rte"))
    finally:
        holder.release()
    assert files(work / "data") == before
    assert shell("rte")[0] == 0


def test_a_data_folder_that_cannot_be_written(
    work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "file").write_text("")
    monkeypatch.setenv("TARGEN_DATA_DIR", str(work / "file"))
    assert "Cannot write in the data folder" in failing(shell("rte"))


def test_no_server(first: str, work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(work / "data")
    monkeypatch.setenv("TARGEN_MODEL", "some-model")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    error = failing(shell("rte"))
    assert "127.0.0.1:9" in error and "very-secret" not in error
    assert files(work / "data") == before


class Refusing(BaseHTTPRequestHandler):
    """An endpoint that refuses whatever it is asked."""

    refusal: tuple[int, dict[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, error = self.refusal
        body = json.dumps({"error": error}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "check the API key"),
        (404, "model_not_found", "the model name 'some-model'"),
    ],
)
def test_an_endpoint_that_refuses(
    first: str,
    work: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    said: str,
) -> None:
    before = files(work / "data")
    refusal = (status, {"message": f"refused: {code}", "type": "error", "code": code})
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Refusing,), {"refusal": refusal}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TARGEN_MODEL", "some-model")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    try:
        error = failing(shell("rte"))
    finally:
        server.shutdown()
        server.server_close()
    assert said in error and "very-secret" not in error
    assert files(work / "data") == before


def test_no_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_MODEL", "some-model")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "OPENAI_API_KEY" in failing(shell("rte"))


def test_a_table_that_breaks_its_contract_stops_the_run(
    first: str, work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from targen.tables import contracts

    def broken(step: str, *arguments: object) -> list[str]:
        return ["two rows share an id"] if step == "seeds" else []

    before = files(work / "data")
    monkeypatch.setattr(contracts, "violations", broken)
    assert "seeds: its contract is broken: two rows share an id" in failing(shell("rte"))
    assert files(work / "data") == before


def test_targets_that_fail_fail_the_run(first: str, work: Path, shell: Shell) -> None:
    table = work / "data/targets/rte.parquet"
    kept = table.read_bytes()
    table.unlink()
    table.mkdir()
    try:
        status, out, error = shell("rte")
    finally:
        table.rmdir()
        table.write_bytes(kept)
    assert status == 1 and "Gates of rte" in out
    assert error.startswith("error: rte: targets: Cannot read") and error.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from targen.tables import contracts

    monkeypatch.setattr(contracts, "violations", lambda *arguments: 1 / 0)
    status, _, err = shell("rte")
    assert status == 1 and "Stack Trace" in err
    assert err.splitlines()[-1].startswith("error: rte: vocabularies_checks: unexpected ZeroDivis")


def test_a_closed_terminal_interrupts_the_run_like_ctrl_c(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = work / "hung-up"
    monkeypatch.setenv("TARGEN_DATA_DIR", str(data))
    monkeypatch.setenv("TARGEN_ROWS", "2000")
    # The tests themselves may run under nohup, and children inherit that.
    code = (
        "import runpy, signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "runpy.run_module('dagster_project.run', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "rte"]
    with subprocess.Popen(command, cwd=home.ROOT, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (data / "contexts/rte.parquet").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.splitlines()[-1].endswith(failure.INTERRUPTED)
    with DagsterInstance.get() as instance:
        assert not [run for run in instance.get_runs() if not run.is_finished]


def test_a_killed_run_leaves_whole_tables_and_the_next_goes_on(
    work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = work / "killed"
    monkeypatch.setenv("TARGEN_DATA_DIR", str(data))
    command = [sys.executable, "-m", "dagster_project.run", "rte"]
    with subprocess.Popen(command, cwd=home.ROOT, stdout=subprocess.DEVNULL) as process:
        for _ in range(600):
            if (data / "instances/rte.parquet").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = [path for path in files(data) if path.endswith(".parquet")]
    assert left and all(pl.read_parquet(data / path) is not None for path in left)
    status, _, err = shell("rte")
    assert (status, err) == (0, "")
    assert latest("calls")["contexts"] == latest("calls")["seeds"] == 0
    assert set(files(data)) == set(files(work / "data"))


def test_a_group_is_made_and_compared(
    work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from targen.tasks.loading import load_tasks

    data = work / "compared"
    monkeypatch.setenv("TARGEN_DATA_DIR", str(data))
    extending = [n for n, s in load_tasks(home.ROOT / "tasks", home.ROOT / "recipes").items()
                 if n == "sentiment" or s.extends == "sentiment"]  # fmt: skip
    assert len(extending) > 2
    status, out, err = shell("--compare", "sentiment")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].strip() == str(data / "comparison/comparison.sentiment.html")
    alone = (data / "comparison/comparison.sentiment.html").read_text()
    everything = (data / "comparison/comparison.html").read_text()
    assert "make run TASK=rte" not in alone and ">sentiment-zerogen<" in alone
    assert len(alone) < len(everything)
    table = pl.read_parquet(data / "comparison/comparison.parquet")
    made = table.filter(pl.col("made"))
    assert set(made["task"]) == set(extending)
    assert set(made["rows"]) == {6} and made["calls_per_row"].null_count() == 0
    before = files(data)
    assert shell("--compare")[0] == 0
    assert files(data) == before
    # Nothing is made again, and the plan says so.
    status, out, err = shell("--compare", "sentiment")
    assert (status, err) == (0, "")
    assert "No task of sentiment needs to be made" in out and " figures, " not in out
    assert files(data) == before
    # One table is gone: its task alone is made again.
    (data / "labels/sentiment-zerogen.parquet").unlink()
    status, out, err = shell("--compare", "sentiment", "--plan")
    assert "labels: its table does not exist" in out and "1 of 4 tasks will be made" in out
    assert not (data / "labels/sentiment-zerogen.parquet").exists()
    assert shell("--compare", "sentiment")[0] == 0
    assert files(data) == before


def test_a_comparison_does_not_replace_real_rows_with_simulated_ones(
    work: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = work / "compared"
    monkeypatch.setenv("TARGEN_DATA_DIR", str(data))
    page = data / "quality_report/sentiment.json"
    report = json.loads(page.read_text())
    page.write_text(json.dumps(report | {"simulated": False, "models": ["some-model"]}))
    try:
        status, out, _ = shell("--compare", "sentiment", "--plan")
        assert status == 0
        assert "rows by some-model are not replaced by simulated rows" in out
        # Even for another number of rows.
        monkeypatch.setenv("TARGEN_ROWS", "7")
        out = shell("--compare", "sentiment", "--plan")[1]
        assert "made for 6 rows; now 7 are requested; rows by some-model are not" in out
        assert "3 of 4 tasks will be made" in out
        monkeypatch.setenv("TARGEN_ROWS", "6")
        monkeypatch.setenv("TARGEN_MODEL", "some-model")
        out = shell("--compare", "sentiment", "--plan")[1]
        assert "its rows are simulated, and TARGEN_MODEL is set" in out
        assert "3 of 4 tasks will be made" in out
    finally:
        page.write_text(json.dumps(report))


def test_who_stops_one_run_stops_those_after_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str | None] = []

    def stopped(job: str, task: str | None, *others: object) -> run.TaskRun:
        begun.append(task)
        return run.TaskRun(
            task or job, "id", 1.0, failure.INTERRUPTED if len(begun) == 2 else "broken"
        )

    monkeypatch.setattr(run, "_make", stopped)
    status, out, err = shell("--compare", "sentiment")
    assert status == run.INTERRUPTED_STATUS and "Gates" not in out
    assert begun == ["sentiment", "sentiment-attrprompt"]
    assert err.count("error: ") == 2
