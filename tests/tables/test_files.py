"""Tables as files: round trip, versions, and what happens when something is wrong."""

import os
from pathlib import Path

import polars as pl
import pytest

from targen import steps as schemas
from targen.errors import TableError
from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage

ROWS = [
    {"context_id": "a" * 16, "text": "a café | with <b>", "attributes": [], "term_ids": ["t"]},
    {"context_id": "b" * 16, "text": "two\nlines", "attributes": None, "term_ids": []},
]
REJECTED = [{"item_id": "c" * 16, "step": "contexts", "reason": "malformed"}]


def stored(rows: list[dict] = ROWS, **changes: object) -> Stored:
    table = schemas.frame(rows, schemas.schema("contexts", {}))
    rejected = schemas.frame(REJECTED, schemas.schema("rejected", {}))
    return Stored(
        **{"table": table, "rejected": rejected, "asked": 3, "step_digest": "d", **changes}
    )


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(open_storage(str(tmp_path / "data")))


def test_what_is_written_is_read(tables: Tables) -> None:
    made = stored()
    tables.write("contexts", "rte", made)
    read = tables.read("contexts", "rte")
    assert read.table.equals(made.table) and read.table.schema == made.table.schema
    assert read.rejected is not None and read.rejected.equals(made.rejected)
    assert (read.asked, read.step_digest) == (3, "d")
    assert read.data_version == made.data_version


def test_files_lie_where_users_expect_them(tables: Tables, tmp_path: Path) -> None:
    tables.write("quality_report", "rte", stored(pages={"html": "<p>é</p>", "json": "{}"}))
    data = tmp_path / "data"
    found = {str(p.relative_to(data)) for p in data.rglob("*") if p.is_file()}
    assert found == {
        "quality_report/rte.parquet",
        "quality_report/rte.html",
        "quality_report/rte.json",
        "rejected/quality_report/rte.parquet",
    }
    assert (data / "quality_report/rte.html").read_text(encoding="utf-8") == "<p>é</p>"
    assert tables.address("quality_report", "rte", "html") == str(data / "quality_report/rte.html")


def test_the_same_content_gives_the_same_bytes(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "data/contexts/rte.parquet"
    tables.write("contexts", "rte", stored())
    first = path.read_bytes()
    tables.write("contexts", "rte", stored())
    assert path.read_bytes() == first


def test_any_change_changes_the_data_version() -> None:
    versions = {
        stored().data_version,
        stored(ROWS[:1]).data_version,
        stored([]).data_version,
        stored(rejected=None).data_version,
        stored(table=stored().table.rename({"text": "other"})).data_version,
        stored(table=stored().table.cast({"term_ids": pl.List(pl.Categorical)})).data_version,
    }
    assert len(versions) == 6
    assert stored(step_digest="another", asked=None).data_version in versions


@pytest.mark.parametrize("version", [None, "999"])
def test_another_schema_version_is_refused(
    tables: Tables, tmp_path: Path, version: str | None
) -> None:
    tables.write("contexts", "rte", stored())
    metadata = {} if version is None else {"targen.schema_version": version}
    stored().table.write_parquet(tmp_path / "data/contexts/rte.parquet", metadata=metadata)
    found, reads = version or "none", schemas.SCHEMA_VERSION
    with pytest.raises(TableError, match=f"version {found}.*reads {reads}.*Materialize"):
        tables.read("contexts", "rte")


def test_a_missing_table_is_named(tables: Tables) -> None:
    with pytest.raises(TableError, match=r"contexts/rte\.parquet does not exist.*contexts of rte"):
        tables.read("contexts", "rte")


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1 and then nothing"])
def test_a_damaged_table_is_named(tables: Tables, tmp_path: Path, content: bytes) -> None:
    tables.write("contexts", "rte", stored())
    (tmp_path / "data/contexts/rte.parquet").write_bytes(content)
    with pytest.raises(TableError, match="not a readable Parquet file"):
        tables.read("contexts", "rte")


def test_a_failed_write_leaves_the_earlier_table(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write("contexts", "rte", stored())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TableError, match="Cannot write .*No space left on device"):
        tables.write("contexts", "rte", stored(ROWS[:1]))
    monkeypatch.undo()
    assert tables.read("contexts", "rte").table.height == 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(TableError, match="Cannot write .*TARGEN_DATA_DIR"):
        Tables(open_storage(str(tmp_path / "data"))).write("contexts", "rte", stored())


def test_planted_errors_lie_beside_their_table_and_never_beside_a_newer_one(tmp_path):
    tables = Tables(open_storage(str(tmp_path)))
    frame = pl.DataFrame({"a": [1]})
    planted = pl.DataFrame({"instance_id": ["x"], "request_id": ["y"]})
    with_errors = Stored(frame, frame, planted=planted)
    tables.write("corrected_set", "rte", with_errors)
    found = tables.read("corrected_set", "rte")
    assert found.planted is not None and found.planted.equals(planted)
    assert found.data_version == with_errors.data_version
    bare = Stored(frame, frame)
    assert bare.data_version != with_errors.data_version
    tables.write("corrected_set", "rte", bare)
    assert tables.read("corrected_set", "rte").planted is None
