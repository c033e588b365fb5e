"""`make run` against somebody else's server: random valid content, over real HTTP."""

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import closing

import polars as pl

from targen.hashing import digest
from targen.store.completions import Store
from tests.support.endpoint import Endpoint, completion, failure
from tests.support.models import random_value
from tests.support.specs import ROOT

KEY = "sk-canary-4711"


def sensible(body, endpoint):
    """Answer by the schema alone, as a server with no idea of the task would."""
    schema = body["response_format"]["json_schema"]["schema"]
    rng = random.Random(digest([body["messages"], body.get("seed")]))
    return completion(json.dumps(random_value(schema, rng)))


async def started(folder, endpoint, task, rows="6"):
    """Start a task as `make run` does."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder / "home"),
        "TARGEN_DATA_DIR": str(folder / "data"),
        "TARGEN_ROWS": rows,
        "TARGEN_MODEL": "foreign-1",
        "OPENAI_BASE_URL": endpoint.url,
        "OPENAI_API_KEY": KEY,
        # It asks no model, and takes longer to load than all else.
        "TARGEN_EXPECTATIONS": "off",
    }
    command = [sys.executable, "-m", "dagster_project.run", task]
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def make_run(folder, endpoint, task):
    """Run a task as `make run` does; return exit status, stdout and stderr."""
    process = await started(folder, endpoint, task)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def parrot(body, endpoint):
    """Answer as `sensible` does, and repeat the key where a reply has room for it."""
    schema = body["response_format"]["json_schema"]["schema"]
    rng = random.Random(digest([body["messages"], body.get("seed")]))
    text = f"{json.dumps(random_value(schema, rng))} (You sent {KEY}.)"
    return completion(text)


def refusing(body, endpoint):
    return failure(401, f"Incorrect API key provided: {KEY}.")


async def test_a_class_task_completes_and_spreads_no_key(tmp_path):
    async with Endpoint(parrot) as endpoint:
        status, out, err = await make_run(tmp_path, endpoint, "rte")
        assert status == 0, err
        calls = len(endpoint.bodies)
        status, out, err = await make_run(tmp_path, endpoint, "rte")
        assert status == 0, err
        assert len(endpoint.bodies) == calls
    table = pl.read_parquet(tmp_path / "data/corrected_set/rte.parquet")
    assert len(table) == 6
    asked = pl.read_parquet(tmp_path / "data/seeds/rte.parquet")["request_id"].unique()
    with closing(Store(f"sqlite:///{tmp_path / 'data/completions.db'}")) as store:
        told = store.completions(asked)["raw"].to_list()
    # What is stored is compressed, and a search of the file would find nothing.
    assert told and all("[the API key]" in raw and KEY not in raw for raw in told)
    assert len(files_with_key(tmp_path)) == 0
    assert KEY not in out + err


async def test_a_refusal_that_repeats_the_key_does_not_spread_it(tmp_path):
    async with Endpoint(refusing) as endpoint:
        status, out, err = await make_run(tmp_path, endpoint, "rte")
    assert status == 1 and "check the API key" in err
    assert len(files_with_key(tmp_path)) == 0
    assert KEY not in out + err


def files_with_key(folder):
    """Return the files that hold the key, of the many that a run leaves."""
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert len(left) > 10
    return [path for path in left if KEY.encode() in path.read_bytes()]


async def test_a_broken_invariant_is_one_error_with_its_name_and_count(tmp_path):
    async with Endpoint(sensible) as endpoint:
        status, _, err = await make_run(tmp_path, endpoint, "record")
    assert status != 0
    errors = [line for line in err.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "parts_of" in errors[0]
    assert "Traceback" not in err
    assert not (tmp_path / "data/seeds/record.parquet").exists()
    kept = pl.read_parquet(tmp_path / "data/rejected/seeds/record.failed.parquet")
    assert set(kept["reason"]) == {"invalid"}
    assert kept["text"].null_count() == 0
    assert (tmp_path / "data/contexts/record.parquet").exists()


async def test_an_interrupt_ends_cleanly_and_the_next_run_goes_on(tmp_path):
    async with Endpoint(sensible, delay=0.5) as endpoint:
        process = await started(tmp_path, endpoint, "rte")
        while len(endpoint.bodies) < 25:  # noqa: ASYNC110 - the endpoint has no event for it
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 130
        assert err.decode().count("\n") == 1
        assert "interrupted; what was paid for is stored" in err.decode()
        endpoint.delay = 0
        before = len(endpoint.bodies)
        status, _, err = await make_run(tmp_path, endpoint, "rte")
        assert status == 0, err
    # 1 call for contexts and 20 for seeds stood; what was in flight may be asked again.
    assert len(endpoint.bodies) - before < 80
