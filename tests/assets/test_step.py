"""One step of a run: which endpoint it asks, with which key and within which budget."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest
from dagster import (
    AssetsDefinition,
    DagsterInstance,
    ExecuteInProcessResult,
    Failure,
    materialize,
)
from dagster._utils.error import serializable_error_info_from_exc_info

from assets.step import _sample, readable_errors
from dagster_project import failure
from dagster_project.definitions import build_defs, make_resources
from targen import redaction
from targen.hashing import digest
from targen.settings import Settings
from targen.steps import ROW_STEPS
from targen.tasks.loading import load_task
from tests.support.models import random_value
from tests.support.specs import MOOD, RECIPES, write_task

MIXED = MOOD.replace(
    "  contexts: {count: 2}",
    "  contexts: {count: 2, endpoint: cheap}\n"
    "  correction: {endpoint: strong, model: bigger, reasoning_effort: high, seed: 100}",
)
ENDPOINTS = """\
endpoints:
  cheap:
    base_url: {cheap}
    model: small
    api_key_env: CHEAP_KEY
    prices: {{prompt: 1, completion: 2}}
  strong:
    base_url: {strong}
    model: big
    api_key_env: STRONG_KEY
"""


class Served:
    """What a server on loopback was asked, and by whom."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.url = ""


@contextmanager
def serving() -> Iterator[Served]:
    """Answer anything by its schema alone."""
    seen = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.bodies.append(body)
            seen.keys.add(self.headers["Authorization"])
            schema = body["response_format"]["json_schema"]["schema"]
            rng = random.Random(digest([body["messages"], body["seed"]]))
            message = {"role": "assistant", "content": json.dumps(random_value(schema, rng))}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
            made = {"id": "c", "object": "chat.completion", "created": 1, "model": "x"}
            content = json.dumps(made | {"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


Make = Callable[..., ExecuteInProcessResult]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes some tables of the task that `text` describes, on the simulator by default."""
    for name in ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_BUDGET_USD", "TARGEN_ROWS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default")
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tmp_path / "tasks"))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.setenv("TARGEN_ENDPOINTS_FILE", str(tmp_path / "ends.yaml"))
    with ExitStack() as stack:
        instance = stack.enter_context(DagsterInstance.ephemeral())

        def call(text: str, *steps: str) -> ExecuteInProcessResult:
            write_task(tmp_path / "tasks", text)
            assets = [one for one in build_defs().assets or () if isinstance(one, AssetsDefinition)]
            return materialize(
                assets,
                partition_key="mood",
                selection=list(steps or ROW_STEPS),
                resources=make_resources(Settings.from_environment()),
                instance=instance,
                raise_on_error=False,
            )

        yield call


def test_each_step_asks_its_own_endpoint_and_keys_do_not_cross(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHEAP_KEY", "sk-cheap")
    monkeypatch.setenv("STRONG_KEY", "sk-strong")
    with serving() as cheap, serving() as strong:
        text = ENDPOINTS.format(cheap=cheap.url, strong=strong.url)
        (tmp_path / "ends.yaml").write_text(text)
        result = make(MIXED)
        assert result.success, failure.explain(result.all_events)
        assert cheap.keys == {"Bearer sk-cheap"}
        assert strong.keys == {"Bearer sk-strong"}
        assert {body["model"] for body in cheap.bodies} == {"small"}
        assert {body["model"] for body in strong.bodies} == {"bigger"}
        assert {body["reasoning_effort"] for body in strong.bodies} == {"high"}
        assert all(body["seed"] >= 100 for body in strong.bodies)
        assert not any("reasoning_effort" in body for body in cheap.bodies)
        found = {
            event.asset_key.path[-1]: event.step_materialization_data.materialization.metadata
            for event in result.get_asset_materialization_events()
            if event.asset_key
        }
        assert found["contexts"]["calls"].value == len(cheap.bodies) == 1
        assert found["corrected_set"]["calls"].value == len(strong.bodies)
        assert found["contexts"]["cost_usd"].value == pytest.approx(0.002)
        assert found["corrected_set"]["cost_usd"].value == "unknown"
        assert found["seeds"]["simulated"].value is True
        assert float(str(found["contexts"]["latency_p50_s"].value)) > 0
        # Nothing has changed: nothing is asked.
        before = len(cheap.bodies) + len(strong.bodies)
        assert make(MIXED).success
        assert len(cheap.bodies) + len(strong.bodies) == before
    stored = pl.read_parquet(tmp_path / "data" / "corrected_set" / "mood.parquet")
    assert stored.height > 0
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-strong" not in path.read_bytes()


def test_a_missing_key_is_told_before_anything_is_asked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHEAP_KEY", "sk-cheap")
    monkeypatch.delenv("STRONG_KEY", raising=False)
    with serving() as cheap:
        text = ENDPOINTS.format(cheap=cheap.url, strong=cheap.url)
        (tmp_path / "ends.yaml").write_text(text)
        result = make(MIXED)
        assert not result.success
        words, trace = failure.explain(result.all_events)
        assert "'strong' takes its key from the environment variable STRONG_KEY" in words
        assert trace is None
        assert not cheap.bodies


def test_an_unknown_endpoint_is_told_with_its_line(make: Make, tmp_path: Path) -> None:
    (tmp_path / "ends.yaml").write_text(ENDPOINTS.format(cheap="http://x/v1", strong="http://x/v1"))
    result = make(MIXED.replace("endpoint: cheap", "endpoint: cheep"))
    words, _ = failure.explain(result.all_events)
    assert "mood.yaml:" in words
    assert "unknown endpoint 'cheep'" in words
    assert "did you mean 'cheap'" in words


def test_a_tasks_own_budget_ends_the_run(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHEAP_KEY", "sk-cheap")
    monkeypatch.setenv("STRONG_KEY", "sk-strong")
    with serving() as cheap:
        text = ENDPOINTS.format(cheap=cheap.url, strong=cheap.url)
        (tmp_path / "ends.yaml").write_text(text)
        poor = make(MIXED + "budget_usd: 0.0001\n", "vocabularies", "contexts")
        words, _ = failure.explain(poor.all_events)
        assert "The budget does not allow the next call (task:mood: ceiling $0.0001" in words
        assert not cheap.bodies
        assert make(MIXED + "budget_usd: 5\n", "vocabularies", "contexts").success
        assert len(cheap.bodies) == 1


def test_an_unexpected_error_is_stored_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_KNOWN", {})
    key = "sk-test-0123456789abcdef"
    redaction.remember(key)
    with pytest.raises(Failure) as failed, readable_errors():
        try:
            raise ValueError(f"cause with {key}")
        except ValueError as error:
            raise RuntimeError(f"GET https://x/?key={key}") from error
    stored = serializable_error_info_from_exc_info((failed.type, failed.value, failed.tb))
    text = f"{failed.value.description}{stored.to_string()}"
    assert key not in text
    assert "RuntimeError: GET https://x/?key=" in text and "cause with" in text


def test_an_unexpected_error_without_secrets_stays_as_it_is() -> None:
    with pytest.raises(KeyError, match="ordinary"), readable_errors():
        raise KeyError("ordinary")


def test_a_sample_shows_no_column_without_values(tmp_path: Path) -> None:
    spec = load_task("mood", write_task(tmp_path / "tasks"), RECIPES)
    table = pl.DataFrame(
        {"instance_id": ["a1"], "note": ["Good."], "label": ["glad"], "confidence": [None]}
    )
    text = _sample("instances", spec, table, "/targen")
    assert text.splitlines()[0] == "|  | note | label |"
    assert "[audit](/targen/audit/a1)" in text
    assert _sample("instances", spec, table.clear(), "/targen") == "No rows."
