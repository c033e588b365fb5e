"""Small tasks by a small model: every run ends well or says once why not, and loses nothing."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from targen.lineage.completions import StoredCompletion
from targen.steps import CONTEXTS, CORRECTED_SET, INSTANCES, SEEDS, UPSTREAM
from targen.tables import contracts
from tests.model.runs import ROWS, RUN_S, ModelServer, Result, Running, Runs
from tests.support.specs import ROOT

SPAN = 8
"""Words in a row that no accepted row may share with the prompt's instructions."""

KILLED = "rte"
"""The task whose server is killed in the middle of the run."""

BEFORE_KILL = 2
"""Stored completions after which that happens; the run of so small a model may end after four."""

OUTAGE_S = 40
"""Seconds until it is started again."""


def explained() -> list[str]:
    """Return the messages about tables that docs/troubleshooting.md explains."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    section = page.partition("\n## Runs and tables")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.M)


def check_ending(runs: Runs, result: Result) -> None:
    """Check that the tables are complete, or that one message says what is missing."""
    assert "Traceback" not in result.errors, result.errors
    tables = runs.tables()
    rows = tables[CORRECTED_SET].table.height if CORRECTED_SET in tables else 0
    if result.status == 0:
        assert set(tables) == set(UPSTREAM)
        assert result.messages == []
        if rows < ROWS:
            assert f"the corrected set has {rows} of {ROWS} rows" in result.output
    else:
        (message,) = result.messages
        assert any(known in message for known in explained()), message


def check_counts(runs: Runs) -> None:
    """Check that every item that was asked for is a row or is rejected with a reason."""
    tables = runs.tables()
    frames = {step: stored.table for step, stored in tables.items()}
    for step, stored in tables.items():
        assert stored.rejected is not None
        above = {name: frames[name] for name in UPSTREAM[step]}
        found = contracts.violations(
            step, runs.spec, stored.table, stored.rejected, above, stored.asked
        )
        assert found == [], step
        assert stored.rejected["detail"].null_count() == 0
    if SEEDS in tables:
        assert tables[SEEDS].asked is not None


def check_rerun(runs: Runs, first: Result) -> None:
    """Check that a run that changes nothing ends the same without a call, its server gone."""
    versions, stored = runs.versions(), runs.stored()
    runs.server.stop()
    again = runs.run()
    assert (again.status, again.messages) == (first.status, first.messages), again.errors
    assert runs.versions() == versions
    assert runs.stored() == stored


def spans(text: str) -> set[tuple[str, ...]]:
    """Return all runs of `SPAN` words."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[at : at + SPAN]) for at in range(len(words) - SPAN + 1)}


def instructions(messages: list[dict[str, str]]) -> str:
    """Return a prompt without its material: contexts, seeds, rows and examples are left out."""
    texts = []
    for message in messages:
        before, fence, data = message["content"].partition("```json\n")
        texts.append(before)
        if fence:
            block = json.loads(data.partition("\n```")[0])
            told = {name: block[name] for name in ("task", "label", "labels") if name in block}
            texts.append(json.dumps(told, ensure_ascii=False))
    return "\n".join(texts)


def check_no_echo(runs: Runs) -> None:
    """Check that no accepted row repeats a long span of what its prompt asked for."""
    prompts = runs.completions()
    echoes = []
    for step in (CONTEXTS, SEEDS, INSTANCES):
        stored = runs.tables().get(step)
        for row in stored.table.iter_rows(named=True) if stored else ():
            asked = spans(instructions([dict(m) for m in prompts[row["request_id"]].messages]))
            for name, value in row.items():
                if isinstance(value, str) and not name.endswith("_id"):
                    echoes += [f"{step}: {name}: {' '.join(span)}" for span in spans(value) & asked]
    assert not echoes, echoes[:5]


@dataclass
class Made:
    """A run that has ended, and what was stored when its server was killed.

    Attributes:
        runs: what it was a run of.
        result: how it ended.
        before: the completions stored before the kill; empty if the server was left alone.
    """

    runs: Runs
    result: Result
    before: dict[str, StoredCompletion]


@pytest.fixture(scope="module", params=["ticket_urgency", KILLED])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tasks").mkdir()
    server = ModelServer(folder / "server")
    server.start()
    try:
        runs = Runs(request.param, folder / "tasks", folder / "data", server)
        running = runs.start()
        before = outage(runs, running) if request.param == KILLED else {}
        yield Made(runs, running.wait(RUN_S), before)
    finally:
        server.stop()


def outage(runs: Runs, running: Running) -> dict[str, StoredCompletion]:
    """Kill the server in the middle of the run, start it again after `OUTAGE_S` seconds."""
    give_up = time.monotonic() + RUN_S
    while runs.stored() < BEFORE_KILL and time.monotonic() < give_up and running.running():
        time.sleep(0.2)
    runs.server.kill()
    before = runs.completions()
    time.sleep(OUTAGE_S)
    runs.server.start()
    return before


def test_a_run_ends_in_complete_tables_or_says_what_is_missing(made: Made) -> None:
    assert made.runs.stored() > 0
    check_ending(made.runs, made.result)


def test_every_item_is_a_row_or_is_rejected_with_a_reason(made: Made) -> None:
    check_counts(made.runs)


def test_every_row_is_what_the_stored_answers_say(made: Made) -> None:
    if CORRECTED_SET in made.runs.tables():
        audited = made.runs.audit()
        assert audited.returncode == 0, audited.stdout + audited.stderr


def test_no_row_repeats_the_prompt(made: Made) -> None:
    check_no_echo(made.runs)


def test_a_server_that_is_killed_and_started_again_loses_nothing(made: Made) -> None:
    after = made.runs.completions()
    if made.runs.task == KILLED:
        assert len(made.before) >= BEFORE_KILL
        assert len(after) > len(made.before)
    kept = {name: after[name].raw for name in made.before}
    assert kept == {name: one.raw for name, one in made.before.items()}
    lost = [one.columns["error"] for one in after.values() if one.columns["status"] == "failed"]
    assert lost == []


def test_a_rerun_makes_no_call(made: Made) -> None:
    check_rerun(made.runs, made.result)
