"""`make test-services`: a backfill on two Celery workers, one of which is killed; and outages.

Ends with one JSON of figures, and with status 1 where a promise is broken:

1. Twelve partitions, two workers, tables on an S3 that loses every tenth call, both stores in
   PostgreSQL. One worker is killed in the middle. Every partition is there, no stored completion
   was paid twice, and every table is the one that a plain run in this machine's folder makes.
2. S3 gone for 30 s during a run.
3. PostgreSQL restarted during a run. If that cuts off a write of Dagster's own, which Dagster does
   not repeat, the run is started again.

The model is the embedded one, on a port, so that the calls of all processes are counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from targen.steps import STEPS
from targen.tables.files import Tables
from targen.tables.storage import open_storage
from tests.services import graphql
from tests.services.faults import FaultyProxy
from tests.services.stack import BUCKET, Stack, stop_in_order, wait_for
from tests.support.specs import ROOT

PARTITIONS = (
    "axg",
    "boolq",
    "cb",
    "copa",
    "creak",
    "piqa",
    "record",
    "rte",
    "sentiment",
    "ticket_urgency",
    "wic",
    "wsc",
)
ROWS = "20"
DATA = f"s3://{BUCKET}/targen"
OUTAGE_S = 30.0


class Broken(Exception):  # noqa: N818 - a promise is
    """A promise is not kept."""


def require(kept: bool, promise: str) -> None:
    """Raise where a promise is broken."""
    if not kept:
        raise Broken(promise)


def main() -> int:
    """Run all parts; return the exit status."""
    stop_in_order()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="targen-services-"))
    folder.chmod(0o755)
    stack = Stack(folder, {"TARGEN_DATA_DIR": DATA, "TARGEN_ROWS": ROWS})
    figures: dict[str, Any] = {}
    proxy = None
    status = 0
    try:
        stack.start_postgres()
        stack.start_redis()
        proxy = FaultyProxy(stack.start_s3(), share=0.1)
        stack.use_s3(proxy.port)
        model = stack.start_model()
        settings = (ROOT / "deploy" / "production" / "dagster.yaml").read_text()
        address = stack.start_dagster(
            settings.replace("max_concurrent_runs: 8", "max_concurrent_runs: 2")
        )
        figures["started_s"] = _since(started)
        figures["backfill"] = _killed_worker(stack, address, model)
        figures["s3_calls"] = dict(proxy.seen)
        figures["s3_failed"] = dict(proxy.failed)
        proxy.share = 0.0
        figures["compared"] = _compared(stack, folder)
        figures["s3_outage"] = _outage(stack, address, lambda: _s3_away(proxy))
        figures["postgres_restart"] = _outage(stack, address, lambda: _restart(stack))
    except (Broken, TimeoutError, RuntimeError, subprocess.CalledProcessError) as error:
        figures["error"] = f"{type(error).__name__}: {error}"
        status = 1
        for log in sorted(folder.glob("*.log")):
            sys.stderr.write(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}\n")
    finally:
        if proxy:
            proxy.close()
        stack.stop()
    figures["seconds"] = _since(started)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return status


def _killed_worker(stack: Stack, address: str, model: str) -> dict[str, Any]:
    stack.start_worker("first")
    stack.start_worker("second")
    began = time.monotonic()
    backfill = graphql.backfill(address, STEPS, PARTITIONS)

    def seen() -> list[dict[str, Any]]:
        return graphql.runs(address, backfill)

    def busy() -> list[dict[str, Any]] | None:
        found = seen()
        running = [run for run in found if run["status"] == "STARTED"]
        deep = [run for run in running if len(run["assetMaterializations"]) in (3, 4, 5)]
        ready = graphql.counts(found)["SUCCESS"] >= 3 and len(running) == 2
        return running if ready and deep else None

    running = wait_for("the middle of the backfill", busy, 300)
    stack.kill("first")
    killed = time.monotonic()
    cut = {run["runId"] for run in running}

    def noticed() -> dict[str, Any] | None:
        return next((r for r in seen() if r["runId"] in cut and r["status"] == "FAILURE"), None)

    lost = wait_for("noticing the killed worker", noticed, 180)
    noticed_s = _since(killed)

    def again() -> bool:
        return any(run["tags"].get("dagster/parent_run_id") == lost["runId"] for run in seen())

    wait_for("queueing the lost run again", again, 180)
    recovered_s = _since(killed)
    require(recovered_s < 180, f"recovered after {recovered_s} s")

    def ended() -> str | None:
        found = graphql.status(address, backfill)
        return found if found.startswith(("COMPLETED", "FAIL", "CANCEL")) else None

    ending = wait_for("the backfill", ended, 500)
    found = seen()
    done = {run["tags"]["dagster/partition"] for run in found if run["status"] == "SUCCESS"}
    require(done == set(PARTITIONS), f"made {sorted(done)}, ended {ending}")
    return {
        "partitions": len(done),
        "runs": dict(graphql.counts(found)),
        "ended": ending,
        "seconds": _since(began),
        "noticed_after_kill_s": noticed_s,
        "queued_again_after_kill_s": recovered_s,
        **_paid(stack, model),
    }


def _paid(stack: Stack, model: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{model}/asked", timeout=10) as answer:
        asked = json.load(answer)
    store = sa.create_engine(stack.environment["TARGEN_STORE_URL"])
    with store.connect() as connection:
        stored = connection.exec_driver_sql("SELECT count(*) FROM completions").scalar_one()
        paid = connection.exec_driver_sql("SELECT count(*) FROM uses WHERE paid").scalar_one()
        twice = connection.exec_driver_sql(
            "SELECT count(*) FROM (SELECT request_id FROM uses WHERE paid GROUP BY request_id "
            "HAVING count(*) > 1) AS doubled"
        ).scalar_one()
    store.dispose()
    require(twice == 0, f"{twice} completions were paid twice")
    require(paid == stored, f"{paid} paid and {stored} stored")
    return {
        "completions_stored": stored,
        "paid_twice": twice,
        "calls_at_the_model": asked["calls"],
        # Under way when the worker was killed, so never stored; or refused and asked again.
        "calls_never_stored": asked["calls"] - stored,
    }


def _compared(stack: Stack, folder: Path) -> dict[str, Any]:
    """Make the same in a plain folder, by plain runs, and compare every table's content."""
    began = time.monotonic()
    plain = {
        **stack.environment,
        "DAGSTER_HOME": str(folder / "plain-home"),
        "TARGEN_DATA_DIR": str(folder / "plain"),
        "TARGEN_STORE_URL": f"sqlite:///{folder}/plain.db",
    }
    with (folder / "plain.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-c", _PLAIN, *PARTITIONS],
            env=plain,
            cwd=ROOT,
            check=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    os.environ |= {name: stack.environment[name] for name in stack.environment if "AWS" in name}
    ours, theirs = Tables(open_storage(DATA)), Tables(open_storage(str(folder / "plain")))
    different, rows = [], 0
    for task in PARTITIONS:
        for step in STEPS:
            one, other = ours.read(step, task), theirs.read(step, task)
            rows += one.table.height
            if one.data_version != other.data_version:
                different.append(f"{step}/{task}")
    require(not different, f"other content than in a plain run: {different}")
    tables = len(PARTITIONS) * len(STEPS)
    return {"tables": tables, "rows": rows, "different": 0, "seconds": _since(began)}


_PLAIN = """
import sys
from dagster import DagsterInstance
from dagster_project.definitions import defs
from dagster_project.jobs import DATASET_JOB
from targen.steps import STEPS
job = defs.resolve_job_def(DATASET_JOB)
with DagsterInstance.ephemeral() as instance:
    for task in sys.argv[1:]:
        assert job.execute_in_process(partition_key=task, instance=instance).success, task
"""


def _outage(
    stack: Stack,
    address: str,
    happen: Callable[[], None],
    task: str | None = None,
    attempt: int = 1,
) -> dict[str, Any]:
    """Run a partition that is not made yet, let something happen in its middle, see how it ends.

    A run in which Dagster's own database was cut off is started once more.
    """
    began = time.monotonic()
    task = task or _OTHERS.pop()
    backfill = graphql.backfill(address, STEPS, [task])

    def middle() -> bool:
        found = graphql.runs(address, backfill)
        return any(len(run["assetMaterializations"]) >= 2 for run in found)

    wait_for("the middle of the run", middle, 150)
    happen()

    def ended() -> list[dict[str, Any]] | None:
        try:
            found = graphql.runs(address, backfill)
            over = graphql.status(address, backfill).startswith(("COMPLETED", "FAIL"))
        except (OSError, RuntimeError):
            return None  # the database is away
        return found if over else None

    found = wait_for("the end of the run", ended, 200)
    tables = Tables(open_storage(DATA))
    made = {run["status"] for run in found}
    if "SUCCESS" not in made:
        why = str([graphql.failures(address, run["runId"]) for run in found])
        # Dagster does not repeat a write of its own that the restart cuts off.
        require("OperationalError" in why and attempt == 1, f"{task} ended with {made}: {why}")
        return _outage(stack, address, lambda: None, task, attempt=2)
    for step in STEPS:
        tables.read(step, task)
    return {
        "task": task,
        "attempt": attempt,
        "runs": dict(graphql.counts(found)),
        "seconds": _since(began),
    }


_OTHERS = ["strategyqa", "winogrande"]


def _s3_away(proxy: FaultyProxy) -> None:
    proxy.gone = True
    time.sleep(OUTAGE_S)
    proxy.gone = False


def _restart(stack: Stack) -> None:
    stack.postgres("restart")


def _since(moment: float) -> float:
    return round(time.monotonic() - moment, 1)


if __name__ == "__main__":
    sys.exit(main())
