"""Completions that tables cite and the store has lost: paid for again only within the limit."""

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dagster_project import failure, paying
from targen.errors import TargenError
from tests.assets.test_step import ENDPOINTS, Make, Served, make, serving
from tests.support.specs import MOOD

__all__ = ["make"]

TASK = MOOD.replace(
    "  contexts: {count: 2}",
    "  contexts: {count: 2, endpoint: cheap}\n  correction: {endpoint: cheap}",
)
STORE = "data/completions.db"


@pytest.fixture
def cheap(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    del make
    monkeypatch.setenv("CHEAP_KEY", "sk-cheap")
    monkeypatch.delenv("TARGEN_PAY_AGAIN", raising=False)
    with serving() as served:
        text = ENDPOINTS.format(cheap=served.url, strong=served.url)
        (tmp_path / "ends.yaml").write_text(text)
        yield served


def change(folder: Path, statement: str, *values: object) -> int:
    with sqlite3.connect(folder / STORE) as raw:
        count = raw.execute(statement, values).rowcount
    raw.close()
    return count


def test_a_lost_store_ends_the_run_before_it_spends(
    make: Make, tmp_path: Path, cheap: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(TASK).success
    before = len(cheap.bodies)
    (tmp_path / STORE).rename(tmp_path / "lost.db")
    result = make(TASK)
    assert not result.success and len(cheap.bodies) == before
    words, trace = failure.explain(result.all_events)
    assert trace is None
    found = re.search(r"(\d+) of the (\d+) completions that the tables of mood were made", words)
    # Some answers are in no table, and those of the simulator cost nothing.
    assert found and found[1] == found[2] and before / 2 < int(found[1]) <= before
    assert "for about $0." in words and "Nothing was sent" in words
    assert "TARGEN_PAY_AGAIN=1" in words and "targen store import" in words
    # Another store that has them costs nothing.
    (tmp_path / STORE).unlink()
    (tmp_path / "lost.db").rename(tmp_path / STORE)
    assert make(TASK).success and len(cheap.bodies) == before
    # With consent, they are paid for again.
    (tmp_path / STORE).unlink()
    monkeypatch.setenv("TARGEN_PAY_AGAIN", "1")
    assert make(TASK).success
    assert len(cheap.bodies) == 2 * before


def test_a_few_lost_completions_are_a_warning(
    make: Make, tmp_path: Path, cheap: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(TASK).success
    before = len(cheap.bodies)
    gone = pl.read_parquet(tmp_path / "data/contexts/mood.parquet")["request_id"][0]
    assert change(tmp_path, "DELETE FROM completions WHERE request_id = ?", gone) == 1
    monkeypatch.setenv("TARGEN_PAY_AGAIN", "0")
    assert not make(TASK).success and len(cheap.bodies) == before
    monkeypatch.setenv("TARGEN_PAY_AGAIN", "0.9")
    assert make(TASK).success
    assert len(cheap.bodies) == before + 1
    assert make(TASK).success
    assert len(cheap.bodies) == before + 1


def test_damaged_answers_are_replaced_only_with_consent(
    make: Make, tmp_path: Path, cheap: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(TASK).success
    before = len(cheap.bodies)
    bad = pl.read_parquet(tmp_path / "data/contexts/mood.parquet")["request_id"][0]
    spoil = "UPDATE completions SET prompt_tokens = 7 WHERE request_id = ?"
    assert change(tmp_path, spoil, bad) == 1
    result = make(TASK)
    words, _ = failure.explain(result.all_events)
    assert not result.success and bad in words and "TARGEN_PAY_AGAIN=1" in words
    assert len(cheap.bodies) == before
    monkeypatch.setenv("TARGEN_PAY_AGAIN", "1")
    assert make(TASK).success
    assert len(cheap.bodies) == before + 1


class Terminal:
    """Standard input or error of a terminal."""

    def __init__(self, answer: str = "") -> None:
        self.answer, self.shown = answer, ""

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer

    def write(self, text: str) -> None:
        self.shown += text

    def flush(self) -> None:
        """Do nothing."""


def test_a_terminal_asks_and_no_is_the_default(
    make: Make, tmp_path: Path, cheap: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_MODEL", "small")
    monkeypatch.setenv("OPENAI_BASE_URL", cheap.url)
    assert make(MOOD).success
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    paying.ask(["mood"])
    assert shown.shown == ""
    (tmp_path / STORE).unlink()
    for answer in ("\n", "no\n", ""):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        with pytest.raises(TargenError, match="Nothing was sent"):
            paying.ask(["mood"])
        assert "Request and pay for them again? [y/N]" in shown.shown
        assert "TARGEN_PAY_AGAIN" not in os.environ
    monkeypatch.setattr("sys.stdin", Terminal("Yes\n"))
    monkeypatch.setenv("TARGEN_PAY_AGAIN", "0.1")
    paying.ask(["mood"])
    before = len(cheap.bodies)
    assert make(MOOD).success
    assert len(cheap.bodies) == 2 * before
