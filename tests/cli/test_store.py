"""`targen store` and `targen costs`, over a store that a small step has filled."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.llm.engine import EngineSettings
from targen.store.completions import Store
from tests.support.endpoint import Endpoint, ask, requests

runner = CliRunner()


@pytest.fixture
async def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prices: float) -> list[str]:
    """Four requests, of which a table names the first two; returns their ids."""
    del prices
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TARGEN_STORE_URL", raising=False)
    async with Endpoint() as endpoint:
        settings = EngineSettings(
            model="m",
            base_url=endpoint.url,
            api_key="secret-key",
            endpoint_name="test",
            store_url=f"sqlite:///{tmp_path}/completions.db",
            run_id="[bold]run",
            task="rte",
            step="seeds",
        )
        outcomes, _ = await ask(settings, requests(4))
    ids = sorted(outcome.request_id for outcome in outcomes)
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "ids.txt").write_text(ids[0])
    table = tmp_path / "seeds" / "other.parquet"
    table.parent.mkdir()
    pl.DataFrame({"request_id": [ids[1]]}).write_parquet(table)
    return ids


def told(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, list(words))
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert "secret-key" not in result.output
    return result.output


@pytest.mark.parametrize(
    "words", ["stats", "stats --json", "verify", "prune --yes", "drop abc", "export {}/backup.gz"]
)
def test_where_there_is_no_store_none_is_made(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("TARGEN_STORE_URL", raising=False)
    said = told("store", *words.format(tmp_path).split(), status=1)
    assert said.startswith("error: There is no completion store sqlite:///")
    assert "There is no completion store" in told("costs", status=1)
    assert not [*tmp_path.iterdir()]


def test_a_database_without_a_store_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.db").touch()
    monkeypatch.setenv("TARGEN_STORE_URL", f"sqlite:///{tmp_path}/empty.db")
    for words in ("stats", "verify"):
        assert "There is no completion store" in told("store", words, status=1)
    with closing(sqlite3.connect(tmp_path / "empty.db")) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_another_database_is_not_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_STORE_URL", f"sqlite:///{tmp_path}/other.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as raw:
        raw.execute("CREATE TABLE completions (a)")
    assert "but not a completion store" in told("store", "verify", status=1)


def test_an_empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TARGEN_STORE_URL", raising=False)
    Store(f"sqlite:///{tmp_path}/completions.db").close()
    assert "none" in told("store", "stats")
    assert "no costs yet" in told("costs")
    assert "needs every completion" in told("store", "prune")


async def test_figures(filled: list[str]) -> None:
    assert "4 ok" in told("store", "stats")
    figures = json.loads(told("store", "stats", "--json"))
    assert figures["completions"] == {"ok": 4}
    assert "4 completions" in told("store", "verify")
    lines = told("costs", "--by", "step").splitlines()
    counts = ["prompt_tokens", "completion_tokens", "cached_tokens"]
    assert lines[0].split() == ["step", "calls", *counts, "cost_usd"]
    assert lines[1].split() == ["seeds", "4", "28", "20", "0", "$0.0680"]
    assert lines[2].split()[:3] == ["in", "all", "4"]
    # A run's id is no markup.
    assert "[bold]run" in told("costs", "--by", "run")
    (row,) = json.loads(told("costs", "--by", "model", "--json"))
    assert (row["model"], row["calls"]) == ("m", 4)
    assert "Invalid value" in told("costs", "--by", "colour", status=2)


async def test_pruning_shows_first_and_keeps_what_something_descends_from(
    filled: list[str], tmp_path: Path
) -> None:
    assert "--yes deletes them" in told("store", "prune")
    assert "4 ok" in told("store", "stats")
    assert "2 completions deleted" in told("store", "prune", "--yes")
    assert "2 ok" in told("store", "stats")
    assert f"no request '{filled[2]}'" in told("store", "drop", filled[2], status=1)
    assert "needs every completion" in told("store", "prune", "--yes")


async def test_what_a_task_with_tables_used_last_is_kept(filled: list[str], tmp_path: Path) -> None:
    pl.DataFrame({"request_id": filled[:1]}).write_parquet(tmp_path / "seeds" / "rte.parquet")
    assert "needs every completion" in told("store", "prune", "--yes")


async def test_nothing_is_pruned_where_a_table_cannot_be_read(
    filled: list[str], tmp_path: Path
) -> None:
    (tmp_path / "seeds" / "bad.parquet").write_text("no table")
    assert "not a readable Parquet" in told("store", "prune", "--yes", status=1)
    assert "4 ok" in told("store", "stats")


async def test_a_backup_goes_out_and_comes_in_once(
    filled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup.gz"
    assert "10 lines" in told("store", "export", str(backup))
    assert "is deleted" in told("store", "drop", filled[0])
    # The completion and who used it.
    assert "2 new" in told("store", "import", str(backup))
    assert "0 new" in told("store", "import", str(backup))
    monkeypatch.setenv("TARGEN_STORE_URL", f"sqlite:///{tmp_path}/other.db")
    assert "10 new" in told("store", "import", str(backup))
    assert "4 completions" in told("store", "verify")
    assert json.loads(told("costs", "--json"))[0]["calls"] == 4


async def test_bad_backups_change_nothing(
    filled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup.gz"
    told("store", "export", str(backup))
    whole = backup.read_bytes()
    lines = gzip.decompress(whole).decode().splitlines()
    changed = json.loads(lines[3])
    bad: dict[str, bytes] = {
        "cut": whole[: len(whole) // 2],
        "text": b"no gzip",
        "list": gzip.compress(b"[1]"),
        "table": gzip.compress(b'{"table": "leases", "owner": "x"}'),
        "column": gzip.compress(b'{"table": "budgets", "scope": "*", "spent": 1}'),
        # Another request's answer under this one's name.
        "forged": gzip.compress(
            "\n".join([*lines[:3], json.dumps(changed | {"request_id": "f" * 64})]).encode()
        ),
    }
    monkeypatch.setenv("TARGEN_STORE_URL", f"sqlite:///{tmp_path}/other.db")
    for name, content in bad.items():
        backup.write_bytes(content)
        assert "Nothing was imported" in told("store", "import", str(backup), status=1), name
        assert json.loads(told("store", "stats", "--json"))["completions"] == {}, name
    said = told("store", "export", str(backup / "b.gz"), status=1)
    assert "Cannot write" in said and "name another FILE" in said
    assert "cannot be read" in told("store", "import", str(tmp_path / "none.gz"), status=1)


async def test_a_damaged_completion_is_found(filled: list[str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "completions.db") as raw:
        raw.execute("UPDATE completions SET raw = x'00' WHERE request_id = ?", (filled[1],))
    raw.close()
    output = told("store", "verify", status=1)
    assert filled[1] in output
    assert "1 findings" in output


async def test_a_damaged_completion_replaces_no_backup(filled: list[str], tmp_path: Path) -> None:
    backup = tmp_path / "backup.jsonl.gz"
    told("store", "export", str(backup))
    before = backup.read_bytes()
    with sqlite3.connect(tmp_path / "completions.db") as raw:
        raw.execute("UPDATE completions SET raw = x'00' WHERE request_id = ?", (filled[1],))
    raw.close()
    assert f"cannot be backed up, because what is stored was changed or damaged: {filled[1]}" in (
        told("store", "export", str(backup), status=1)
    )
    assert backup.read_bytes() == before
    # As the message says.
    told("store", "drop", filled[1])
    told("store", "import", str(backup))
    told("store", "verify")
    told("store", "export", str(backup))
