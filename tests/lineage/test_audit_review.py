"""Audits of rows that people reviewed."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from targen.lineage.audit import Audit, Auditor
from targen.lineage.ids import reviewed_content
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables import reviews
from targen.tables.storage import LocalStorage
from tests.support.audited import make, store_url

Opened = Callable[[Path], Auditor]
FIELDS = {"rte": ("premise", "hypothesis"), "axg": ("premise", "hypothesis", "pair_id")}


def table(folder: Path, task: str, step: str = "corrected_set") -> pl.DataFrame:
    return pl.read_parquet(folder / step / f"{task}.parquet")


def imported(folder: Path, task: str, said: list[tuple[bool, str | None]], who: str) -> None:
    """Store and record verdicts on the first rows, in order."""
    rows = table(folder, task).to_dicts()
    verdicts = pl.DataFrame(
        [
            {
                "instance_id": row["instance_id"],
                "content": reviewed_content(
                    {name: row[name] for name in FIELDS[task]}, row["label"]
                ),
                "right": right,
                "label": label,
                "comment": None if right else "no",
                "seen_label": row["label"],
                "reviewer": who,
                "reviewed_at": "2026-11-27T10:00:00Z",
            }
            for row, (right, label) in zip(rows, said, strict=False)
        ],
        schema=dict(reviews.COLUMNS),
    )
    _, written = reviews.keep(LocalStorage(str(folder)), task, verdicts)
    with closing(Store(store_url(folder))) as store:
        table_digests.record(store, [written], {"task": task, "step": "reviews"}, "import")


def other(label: str) -> str:
    return {"entailment": "not_entailment", "not_entailment": "entailment"}[label]


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rte: right, wrong, relabelled, and two without a verdict; a second run applied them."""
    folder = tmp_path_factory.mktemp("reviewed")
    asyncio.run(make(folder, "rte", 8))
    third = table(folder, "rte")["label"][2]
    imported(folder, "rte", [(True, None), (False, None), (False, other(third))], "Ada")
    stored = reviews.stored(LocalStorage(str(folder)), "rte")
    asyncio.run(make(folder, "rte", 8, verdicts=stored))
    return folder


@pytest.fixture
def data(reviewed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reviewed, tmp_path / "data"))


def audits(auditor: Auditor, task: str = "rte") -> list[Audit]:
    return auditor.audit(task, auditor.sample(task, 1000, 0))


def test_verdicts_reach_the_rows_and_are_verified(reviewed: Path, opened: Opened) -> None:
    rows, lost = table(reviewed, "rte"), table(reviewed, "rte", "rejected/corrected_set")
    assert rows.height == 8, "another row takes the place of the dropped one"
    seen = rows.filter(pl.col("human_reviewer") == "Ada")
    assert seen.height == 2 and set(seen["human_reviewed_at"]) == {"2026-11-27T10:00:00Z"}
    (changed,) = seen.filter(pl.col("label") != pl.col("label_before_review")).to_dicts()
    assert changed["label"] == other(changed["label_before_review"])
    differs = changed["label"] != changed["intended_label"]
    assert changed["verdict"] == ("relabelled" if differs else "kept")
    (dropped,) = lost.filter(pl.col("reason") == "human_review").to_dicts()
    assert dropped["detail"] == "Ada found the label wrong: no"
    auditor = opened(reviewed)
    assert [one.verdict for one in audits(auditor)] == ["verified"] * 8
    assert not auditor.check_files("rte")
    (one,) = auditor.audit("rte", [dropped["item_id"]])
    assert one.verdict == "verified"
    assert one.lineage.one("reviews") is not None


def rewritten(folder: Path, key: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = folder / key
    content = path.read_bytes()
    metadata = pl.read_parquet_metadata(BytesIO(content))
    metadata.pop("ARROW:schema", None)
    change(pl.read_parquet(BytesIO(content))).write_parquet(path, metadata=metadata)
    # As if a run had written it, so that only the rows' own checks can notice.
    written = table_digests.Written(
        key, table_digests.sha256_of(path.read_bytes()), pl.read_parquet(path), None
    )
    with closing(Store(store_url(folder))) as store:
        found = table_digests.recorded(store, key)
        assert found is not None
        above = {name: f"{name}/rte.parquet" for name in found.made_by.get("upstream") or {}}
        table_digests.record(store, [written], found.made_by, "run-2", above)


def first(name: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Set a column of the first reviewed row."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        place = frame["human_reviewer"].is_not_null().arg_max()
        values = frame[name].to_list()
        values[place] = value
        return frame.with_columns(pl.Series(name, values, frame.schema[name]))

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (first("human_reviewer", "Eve"), "is not the one of the stored verdict"),
        (first("human_reviewed_at", "2020-01-01T00:00:00Z"), "is not the one of the stored"),
        (first("human_reviewer", None), "is not the one of the stored verdict"),
        (first("label_before_review", None), "does not match the stored verdicts"),
    ],
)
def test_a_row_that_does_not_match_its_verdict_is_found(
    data: Path, opened: Opened, change: Callable[[pl.DataFrame], pl.DataFrame], what: str
) -> None:
    rewritten(data, "corrected_set/rte.parquet", change)
    said = [finding.what for one in audits(opened(data)) for finding in one.findings]
    assert any(what in text for text in said), said


def test_a_label_that_the_reviewer_did_not_give_is_found(data: Path, opened: Opened) -> None:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        swapped = pl.col("label").replace({n: other(n) for n in ("entailment", "not_entailment")})
        return frame.with_columns(
            pl.when(pl.col("human_reviewer").is_not_null()).then(swapped).otherwise("label")
            .alias("label")
        )  # fmt: skip

    rewritten(data, "corrected_set/rte.parquet", change)
    said = [f for one in audits(opened(data)) for f in one.findings if f.level == "wrong"]
    assert sum("is not the one of the human review" in one.what for one in said) == 2


def test_a_changed_file_of_verdicts_is_found(data: Path, opened: Opened) -> None:
    path = data / "reviews/rte.parquet"
    frame = pl.read_parquet(path).with_columns(right=pl.lit(value=True))
    frame.write_parquet(path, metadata={"targen.schema_version": "3"})
    found = opened(data).check_files("rte")
    assert any("column right" in one.where and "sha256" in one.what for one in found), found


def test_verdicts_imported_since_are_a_note(data: Path, opened: Opened) -> None:
    imported(data, "rte", [(False, None)], "Bo")
    found = audits(opened(data))
    assert [one.verdict for one in found] == ["verified"] * 8
    said = {finding.what for one in found for finding in one.file_findings}
    assert "human verdicts were imported since it was made" in said


def test_a_pair_is_settled_together(tmp_path: Path, opened: Opened) -> None:
    asyncio.run(make(tmp_path, "axg", 6))
    rows = table(tmp_path, "axg").to_dicts()
    said: list[tuple[bool, str | None]] = [
        (False, other(rows[0]["label"])), (True, None),  # the verdicts on this pair differ
        (False, other(rows[2]["label"])),
    ]  # fmt: skip
    imported(tmp_path, "axg", said, "Ada")
    stored = reviews.stored(LocalStorage(str(tmp_path)), "axg")
    asyncio.run(make(tmp_path, "axg", 6, verdicts=stored))
    lost = table(tmp_path, "axg", "rejected/corrected_set").filter(reason="human_review")
    assert set(lost["item_id"]) == {row["instance_id"] for row in rows[:2]}
    assert set(lost["detail"]) == {
        "the verdicts give the rows of this set labels that do not belong together"
    }
    after = {row["instance_id"]: row for row in table(tmp_path, "axg").to_dicts()}
    pair = [after[row["instance_id"]] for row in rows[2:4]]
    assert {row["label"] for row in pair} == {other(rows[2]["label"])}
    assert [row["human_reviewer"] for row in pair] == ["Ada", None]
    assert all(row["label_before_review"] == rows[2]["label"] for row in pair)
    assert {one.verdict for one in audits(opened(tmp_path), "axg")} == {"verified"}
