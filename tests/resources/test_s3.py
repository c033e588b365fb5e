"""Runs with their tables on S3: a real server over HTTP, and one that fails."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from dagster import ExecuteInProcessResult, build_resources

from dagster_project.jobs import DATASET_JOB
from resources.data import DataFolder
from targen.errors import TableError
from targen.steps import STEPS
from targen.store.completions import Store, now
from targen.store.schema import HOLDS
from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage

pytest.importorskip("moto", reason="the S3 server is not installed")

from tests.services import s3
from tests.services.faults import FaultyProxy

# Dagster's own: it looks at the run in the old way where one resource needs another.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

BUCKET = "tables"
HOLDER = """
import os, sys
from resources.data import DataFolder
folder = DataFolder(data_dir=sys.argv[1], store_url=os.environ["TARGEN_STORE_URL"])
folder.hold("rte", "run-of-another-machine")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3.server() as found:
        s3.client(found).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield found


@pytest.fixture
def proxy(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    made = FaultyProxy(port, share=0.0)
    for name, value in s3.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.port}")
    monkeypatch.setenv("TARGEN_STORE_URL", f"sqlite:///{tmp_path}/completions.db")
    yield made
    made.close()


def run(monkeypatch: pytest.MonkeyPatch, data_dir: str, rows: int = 6) -> ExecuteInProcessResult:
    from dagster_project.definitions import build_defs

    monkeypatch.setenv("TARGEN_DATA_DIR", data_dir)
    monkeypatch.setenv("TARGEN_ROWS", str(rows))
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    job = build_defs().resolve_job_def(DATASET_JOB)
    return job.execute_in_process(partition_key="rte", raise_on_error=False)


def versions(data_dir: str) -> dict[str, str]:
    tables = Tables(open_storage(data_dir))
    return {step: tables.read(step, "rte").data_version for step in STEPS}


def test_a_run_that_loses_every_tenth_call_makes_what_a_local_run_makes(
    proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, str(tmp_path / "data")).success
    proxy.share = 0.1
    at = f"s3://{BUCKET}/tenth"
    assert run(monkeypatch, at).success
    proxy.share = 0.0
    assert versions(at) == versions(str(tmp_path / "data"))
    assert open_storage(at).read("quality_report/rte.html")
    total = sum(proxy.seen.values())
    assert total > 60 and sum(proxy.failed.values()) > total / 20


def test_a_run_outlives_an_outage(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    at = f"s3://{BUCKET}/outage"

    def outage() -> None:
        while not proxy.seen["PUT"]:
            time.sleep(0.01)
        proxy.gone = True
        time.sleep(3)
        proxy.gone = False

    thread = threading.Thread(target=outage, daemon=True)
    thread.start()
    assert run(monkeypatch, at).success
    thread.join(timeout=20)
    assert proxy.failed["gone"]


def test_an_outage_that_stays_is_one_error_and_changes_no_table(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"s3://{BUCKET}/stays"
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    assert run(monkeypatch, at).success
    before = versions(at)
    puts = proxy.seen["PUT"]

    def outage() -> None:
        while proxy.seen["PUT"] < puts + 4:
            time.sleep(0.001)
        proxy.gone = True

    thread = threading.Thread(target=outage, daemon=True)
    thread.start()
    failed = run(monkeypatch, at, rows=8)
    thread.join(timeout=20)
    proxy.gone = False
    assert not failed.success
    errors = [event.step_failure_data for event in failed.get_step_failure_events()]
    said = [error.user_failure_data.description for error in errors if error.user_failure_data]
    assert len(errors) == len(said) == 1
    assert said[0].startswith("Cannot ") and f"{at}/" in said[0]
    assert "start the run again" in said[0]
    after = versions(at)
    # Each table is the old one or the new one, whole, and readable.
    assert after["vocabularies"] == before["vocabularies"]
    assert after["quality_report"] == before["quality_report"]
    assert run(monkeypatch, at, rows=8).success


def test_two_runs_of_one_partition_on_two_machines(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"s3://{BUCKET}/locked"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, at],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        started = time.monotonic()
        mine = DataFolder(data_dir=at, store_url=os.environ["TARGEN_STORE_URL"])
        with pytest.raises(TableError, match="being made by run run-of-another-machine"):
            mine.hold("rte", "mine")
        assert time.monotonic() - started < 2
        time.sleep(5)  # longer than a renewal
        with pytest.raises(TableError, match=f"process {process.pid} on "):
            mine.hold("rte", "mine")
        process.kill()
        process.wait(timeout=10)
        store = Store(os.environ["TARGEN_STORE_URL"])
        with store.write() as connection:
            left = connection.execute(sa.select(HOLDS.c.expires_at)).scalar_one() - now(connection)
            assert 0 < left <= 15
            # The same as waiting for it.
            connection.execute(sa.update(HOLDS).values(expires_at=HOLDS.c.expires_at - left))
        store.close()
        mine.hold("rte", "mine")
        mine.release()


def test_a_missing_bucket_is_one_error(proxy: FaultyProxy) -> None:
    with pytest.raises(TableError, match="NoSuchBucket.*Check the bucket"):
        Tables(open_storage("s3://nowhere/x")).write(
            "contexts", "rte", Stored(pl.DataFrame({"a": [1]}))
        )


def test_without_credentials_it_is_one_error(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in s3.SETTINGS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(TableError, match="Unable to locate credentials.*credentials"):
        open_storage(f"s3://{BUCKET}/x").read("a")


def test_s3_is_shown_as_a_resource_and_only_then(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.definitions import build_defs

    monkeypatch.setenv("TARGEN_DATA_DIR", "data")
    assert "s3" not in build_defs().resources
    monkeypatch.setenv("TARGEN_DATA_DIR", f"s3://{BUCKET}/x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    made: Any = build_defs().resources
    with build_resources({"s3": made["s3"]}) as found:
        # Besides the first attempt.
        assert found.s3.meta.config.retries["total_max_attempts"] == 8
