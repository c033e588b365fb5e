"""`make run` against somebody else's server: random valid content, over real HTTP."""

import asyncio
import json
import os
import random
import sys

import polars as pl

from targen.hashing import digest
from tests.llm.endpoint import Endpoint, completion
from tests.models import random_value
from tests.specs import ROOT

KEY = "sk-canary-4711"


def sensible(body, endpoint):
    """Answer by the schema alone, as a server with no idea of the task would."""
    schema = body["response_format"]["json_schema"]["schema"]
    rng = random.Random(digest([body["messages"], body.get("seed")]))
    return completion(json.dumps(random_value(schema, rng)))


async def make_run(folder, endpoint, task, rows="6"):
    """Run a task as `make run` does; return exit status, stdout and stderr."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder / "home"),
        "TARGEN_DATA_DIR": str(folder / "data"),
        "TARGEN_ROWS": rows,
        "TARGEN_MODEL": "foreign-1",
        "OPENAI_BASE_URL": endpoint.url,
        "OPENAI_API_KEY": KEY,
    }
    command = [sys.executable, "-m", "dagster_project.run", task]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_class_task_completes_and_leaves_no_key_behind(tmp_path):
    async with Endpoint(sensible) as endpoint:
        status, out, err = await make_run(tmp_path, endpoint, "rte")
        assert status == 0, err
        calls = len(endpoint.bodies)
        status, out, err = await make_run(tmp_path, endpoint, "rte")
        assert status == 0, err
        assert len(endpoint.bodies) == calls
    table = pl.read_parquet(tmp_path / "data/corrected_set/rte.parquet")
    assert len(table) == 6
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) > 10
    assert not [path for path in left if KEY.encode() in path.read_bytes()]
    assert KEY not in out + err


async def test_a_broken_invariant_is_one_error_with_its_name_and_count(tmp_path):
    async with Endpoint(sensible) as endpoint:
        status, _, err = await make_run(tmp_path, endpoint, "record")
    assert status != 0
    errors = [line for line in err.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "parts_of" in errors[0]
    assert "Traceback" not in err
    assert not (tmp_path / "data/seeds/record.parquet").exists()
    assert (tmp_path / "data/contexts/record.parquet").exists()
