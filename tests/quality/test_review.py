"""The review: which rows are shown, how the sheet comes back, and what it counts for."""

import csv
import io
import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from bench import review as simulations
from targen import steps
from targen.cli import app
from targen.errors import TargenError
from targen.quality import review, review_strata
from targen.tables import reviews
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage
from tests.support.specs import MOOD, RECIPES, spec_of, write_task

runner = CliRunner()


def corrected(spec, count=60, **changes):
    rows = [
        {
            "instance_id": f"{i:016x}",
            "note": f"note {i}",
            "label": ["glad", "sad"][i % 2],
            "intended_label": ["glad", "sad"][i % 2],
            "annotated_label": ["glad", "sad"][(i % 2) ^ (i % 10 == 0)],
            "corrected_label": ["glad", "sad"][i % 2],
            "verdict": "kept",
            "request_ids": [],
            **{name: value(i) for name, value in changes.items()},
        }
        for i in range(count)
    ]
    return steps.frame(rows, steps.schema("corrected_set", spec.field_types))


def read(spec, table, path, rejected=None, verdicts=None):
    known = review_strata.reviewable(spec, table, rejected, verdicts)
    return review.read_sheet(spec, known, path, "Ada", "2026-11-27T10:00:00Z")


@pytest.fixture
def spec(tmp_path):
    return spec_of(tmp_path / "tasks")


def filled(spec, table, path, verdict, wanted=20):
    rows = review.sample(spec, table, None, wanted)
    text = review.sheet(spec, rows)
    listed = list(csv.DictReader(io.StringIO(text)))
    for number, row in enumerate(listed):
        row["verdict"] = verdict(number, row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, listed[0])
        writer.writeheader()
        writer.writerows(listed)
    return path


def test_divided_rows_are_over_sampled_and_weights_make_up_for_it(spec):
    table = corrected(spec)
    rows = review.sample(spec, table, None, 20)
    divided = [row for row in rows if row["stratum"].startswith("divided")]
    assert len(rows) == 20 and len(divided) == 6
    assert sum(row["weight"] for row in rows) == pytest.approx(60, abs=1e-3)
    assert rows == review.sample(spec, table, None, 20)
    assert [row["instance_id"] for row in rows] != sorted(row["instance_id"] for row in rows)
    assert len(review.sample(spec, table, None, 500)) == 60


def test_shares_fill_up():
    sizes = {"divided, a": 2, "divided, b": 50, "agreed, a": 100, "agreed, b": 1}
    assert review.shares(sizes, 40) == {
        "divided, a": 2, "divided, b": 18, "agreed, a": 19, "agreed, b": 1
    }  # fmt: skip
    assert review.shares({"agreed, a": 3}, 40) == {"agreed, a": 3}
    assert review.shares({"divided, a": 30, "agreed, a": 2}, 20) == {
        "divided, a": 18, "agreed, a": 2
    }  # fmt: skip
    assert review.shares({}, 5) == {}


def test_verdicts_come_back(spec, tmp_path):
    table = corrected(spec)
    says = {0: "RIGHT", 1: "wrong", 2: "glad", 3: "sad", 4: " "}
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: says.get(n, ""))
    found = read(spec, table, path)
    assert (found.verdicts.height, found.empty, found.lapsed) == (4, 16, ())
    rows = review.sample(spec, table, None, 20)
    said = {row["instance_id"]: (row["right"], row["label"]) for row in found.verdicts.to_dicts()}
    assert said[rows[0]["instance_id"]] == (True, None)
    assert said[rows[1]["instance_id"]] == (False, None)
    for place, label in ((2, "glad"), (3, "sad")):
        right = rows[place]["label"] == label
        assert said[rows[place]["instance_id"]] == (right, None if right else label)
    assert review.task_of(path) == "mood"


def test_a_changed_row_lapses(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    changed = table.with_columns(note=pl.col("note").replace({"note 7": "another"}))
    first = read(spec, table, path).verdicts
    gone = set(first["instance_id"]) & {f"{7:016x}"}
    lapsed = read(spec, changed, path).lapsed
    lines = path.read_text().splitlines()
    assert len(lapsed) == len(gone) and all("note 7," in lines[n - 1] for n in lapsed)
    moved = corrected(spec, label=lambda i: "sad")
    assert review_strata.in_force(spec, moved, None, None, first)["seen"].sum() == sum(
        int(row["instance_id"], 16) % 2 for row in first.to_dicts()
    )
    with pytest.raises(TargenError, match="all 20 are on rows that have changed"):
        read(spec, corrected(spec, note=lambda i: "new"), path)


def twice(text):
    return text + text.splitlines()[1].replace(",right,", ",wrong,") + "\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(",right,", ",rihgt,", 1), r"a.csv:2: 'rihgt' is no.*'right'"),
        (lambda text: text.replace("verdict", "judged", 1), "a.csv:1: the column verdict is"),
        (
            lambda text: text.replace(",right,", ",,"),
            "no verdict on mood: its column verdict is empty",
        ),
        (twice, "a.csv:22: .* two verdicts"),
        (lambda text: text.replace(",right,", ",',", 1), "a.csv:2: '' is no verdict"),
        (
            lambda text: text.replace("comment", "verdict", 1),
            "a.csv, line 1: two columns named 'verdict'",
        ),
        (lambda text: text + ",,,,,,,maybe,\n", "a.csv:22: the column instance_id has ''"),
        (lambda text: "", "a.csv:1: the column task is missing"),
    ],
)
def test_a_mistake_names_the_line(spec, tmp_path, change, said):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    path.write_text(change(path.read_text()))
    with pytest.raises(TargenError, match=said):
        read(spec, table, path)


def saved(path, edit=lambda cells: cells, *, delimiter=",", encoding="utf-8-sig", first=""):
    """Save a sheet again as a spreadsheet does; `edit` changes its rows, the header included."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = edit(list(csv.reader(file)))
    with path.open("w", newline="", encoding=encoding) as file:
        file.write(first)
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


SPREADSHEETS = [
    {"delimiter": ";"},
    {"delimiter": "\t", "encoding": "utf-16"},
    {"delimiter": "\t", "encoding": "utf-8"},
    {"delimiter": ";", "first": "sep=;\r\n"},
    {"delimiter": ",", "first": '"sep=;",,,,,,,\r\n'},
    {"delimiter": "|", "first": "SEP=|\n"},
]


@pytest.mark.parametrize("how", SPREADSHEETS)
def test_every_form_in_which_a_spreadsheet_saves_is_read(spec, tmp_path, how):
    table = corrected(spec, note=lambda i: f"two\nlines; and, \t | {i} ü")
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    saved(path, lambda rows: [*rows, [""] * len(rows[0]), [" "] * len(rows[0])], **how)
    assert review.task_of(path) == "mood"
    found = read(spec, table, path)
    assert (found.verdicts.height, found.empty, found.lapsed) == (20, 0, ())


def test_empty_cells_that_a_spreadsheet_leaves_out_or_adds(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    saved(path, lambda rows: [[*rows[0], "", ""], *(row[:-1] for row in rows[1:])])
    assert read(spec, table, path).verdicts.height == 20
    path = filled(spec, table, tmp_path / "b.csv", lambda n, row: "right")
    saved(path, lambda rows: [rows[0], [*rows[1], "", "my note"], *rows[2:]])
    with pytest.raises(TargenError, match=r"b\.csv, line 2 has 11 cells, but the header has 9"):
        read(spec, table, path)


def test_a_label_that_was_overwritten_is_named(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right" if n else "")
    flip = {"sad": "Glad", "glad": "SAD"}

    def edit(rows):
        place = rows[0].index("label")
        rows[1][place] = flip[rows[1][place]]
        return rows

    saved(path, edit)
    with pytest.raises(TargenError, match=r"a.csv:2: the label was changed to '\w+', but there is"):
        read(spec, table, path)


def test_comments_without_a_verdict_are_counted(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right" if n > 1 else "")
    saved(path, lambda rows: [rows[0], [*rows[1][:-1], "should be sad"], *rows[2:]])
    found = read(spec, table, path)
    assert (found.verdicts.height, found.empty, found.commented) == (18, 2, (2,))


def test_the_reviewer_is_the_sheets_or_the_importers(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    assert set(read(spec, table, path).verdicts["reviewer"]) == {"Ada"}
    saved(path, lambda rows: [[*rows[0], "Reviewer"], *([*r, "Bo" if n else ""] for n, r in
                                                        enumerate(rows[1:]))])  # fmt: skip
    verdicts = read(spec, table, path).verdicts
    assert sorted(verdicts["reviewer"].value_counts().iter_rows()) == [("Ada", 1), ("Bo", 19)]
    assert set(verdicts["reviewed_at"]) == {"2026-11-27T10:00:00Z"}


@pytest.mark.parametrize(
    ("labels", "said", "right"),
    [
        (("true", "false"), "WAHR", True), (("true", "false"), "FALSCH", False),
        (("true", "false"), "TRUE", True), (("01", "02"), "1", True), (("1", "2"), "2,0", False),
        (("0.5", "1"), "0,5", True),
    ],
)  # fmt: skip
def test_labels_that_a_spreadsheet_shows_otherwise(tmp_path, labels, said, right):
    first, second = labels
    text = MOOD.replace("    glad:", f"    '{first}':").replace("    sad:", f"    '{second}':")
    one = spec_of(tmp_path, text)
    found = review._verdict(one, {"note": "n", "label": first}, said)
    assert found == {"right": right, "label": None if right else second}


def test_verdicts_on_rows_that_a_review_changed_or_dropped_can_be_changed(spec, tmp_path):
    table = corrected(spec, 20)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: ["wrong", "sad"][n % 2])
    verdicts = read(spec, table, path).verdicts
    said = {row["instance_id"]: row for row in verdicts.to_dicts()}
    kept = [r for r in table.to_dicts() if said[r["instance_id"]]["right"]
            or said[r["instance_id"]]["label"]]  # fmt: skip
    for row in kept:
        row |= {"label_before_review": row["label"], "human_reviewer": "Ada"}
        row["label"] = said[row["instance_id"]]["label"] or row["label"]
    after = steps.frame(kept, table.schema)
    lost = [
        {"item_id": r["instance_id"], "reason": "human_review", "request_ids": [],
         "intended_label": r["intended_label"], "annotated_label": r["annotated_label"],
         "corrected_label": r["corrected_label"], "text": f'{{"note": "{r["note"]}"}}'}
        for r in table.to_dicts() if r["instance_id"] not in {one["instance_id"] for one in kept}
    ]  # fmt: skip
    dropped = steps.frame(lost, steps.schema("rejected", {}))
    again = read(spec, after, path, dropped, verdicts)
    assert (again.verdicts.height, again.lapsed) == (20, ())
    counts = review_strata.in_force(spec, after, dropped, None, verdicts)
    assert review_strata.people_saw(counts) == {
        "verdicts": 20, "rows": len(kept), "wrong": int((~verdicts["right"]).sum()),
        "still_wrong": 0,
    }  # fmt: skip
    assert read(spec, after, path).lapsed, "without the verdicts, dropped rows are unknown"


def test_the_case_of_labels_and_of_the_header_does_not_matter(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: row["label"].upper() + " ")
    saved(path, lambda rows: [[name.title() for name in rows[0]], *rows[1:]])
    found = read(spec, table, path).verdicts
    assert found.height == 20 and found["right"].all()


def test_labels_that_differ_by_case_alone_are_told_apart(tmp_path):
    spec = spec_of(tmp_path, MOOD.replace("    glad:", "    Sad:"))
    table = corrected(spec, label=lambda i: "Sad")
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "sad")
    assert not read(spec, table, path).verdicts["right"].any()
    path = filled(spec, table, tmp_path / "b.csv", lambda n, row: "SAD")
    with pytest.raises(TargenError, match="b.csv:2: 'SAD' is no verdict"):
        read(spec, table, path)


NUMBERS = ("1234567890123456", "0000000000000012", "12e4567890123456", "123456789012e456")


def test_no_hash_is_exported_as_a_number(spec):
    table = corrected(spec, 4, instance_id=lambda i: NUMBERS[i])
    rows = list(
        csv.DictReader(io.StringIO(review.sheet(spec, review.sample(spec, table, None, 4))))
    )
    assert {row["instance_id"] for row in rows} == {f"'{text}" for text in NUMBERS}
    assert all(not row["content"].isdigit() for row in rows)


@pytest.mark.parametrize("shown", ["1.23457E+15", "1,23457E+15", "1234567890123450", "1.23E+15"])
def test_an_id_that_became_a_number_is_found_by_content(spec, tmp_path, shown):
    table = corrected(spec, 20, instance_id=lambda i: NUMBERS[0] if i == 3 else f"{i:015x}a")
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    saved(path, lambda rows: [[shown if NUMBERS[0] in c else c for c in row] for row in rows])
    assert shown in path.read_text(encoding="utf-8-sig")
    found = read(spec, table, path)
    assert (found.verdicts.height, found.lapsed, len(found.by_content)) == (20, (), 1)
    assert NUMBERS[0] in found.verdicts["instance_id"]


@pytest.mark.parametrize("shown", ["1.23457E+15", "1,23457E+15", "1234567890123450"])
def test_content_that_became_a_number_is_compared_as_one(spec, tmp_path, monkeypatch, shown):
    digests = {f"note {i}": f"{i:015x}b" for i in range(20)} | {"note 3": NUMBERS[0]}
    monkeypatch.setattr(review, "content", lambda spec, row: digests[row["note"]])
    table = corrected(spec, 20)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    saved(path, lambda rows: [[shown if NUMBERS[0] in c else c for c in row] for row in rows])
    found = read(spec, table, path)
    assert (found.verdicts.height, found.lapsed) == (20, ())
    assert NUMBERS[0] in found.verdicts["content"]


@pytest.mark.parametrize("column", ["instance_id", "content"])
def test_a_cell_that_cannot_be_restored_is_named(spec, tmp_path, column):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")

    def edit(rows):
        rows[4][rows[0].index(column)] = "5,43E+12"
        rows[4][rows[0].index("content")] = "5,43E+12"
        return rows

    saved(path, edit)
    with pytest.raises(
        TargenError, match=rf"a.csv:5: the column {column} has '5,43E\+12'.*as text"
    ):
        read(spec, table, path)


def test_verdicts_of_several_labels_and_of_spans_ignore_case(tmp_path):
    multi = spec_of(tmp_path, MOOD.replace("kind: class", "kind: multi"))
    row = {"note": "n", "label": ["glad", "sad"]}
    assert review._verdict(multi, row, "SAD; Glad;") == {"right": True, "label": None}
    assert review._verdict(multi, row, "'Sad") == {"right": False, "label": "sad"}
    assert "'mad' is no verdict" in str(review._verdict(multi, row, "sad;mad"))


def test_a_spreadsheets_semicolons_and_mark_are_read(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    path.write_text(path.read_text().replace(",", ";"), encoding="utf-8-sig")
    assert read(spec, table, path).verdicts.height == 20


def test_kept_verdicts_are_replaced_by_newer_ones(spec, tmp_path):
    table, place = corrected(spec), LocalStorage(str(tmp_path / "data"))
    assert reviews.stored(place, "mood") is None and reviews.identity(None) is None
    for word in ("right", "wrong"):
        path = filled(spec, table, tmp_path / "a.csv", lambda n, row, w=word: w)
        kept, _ = reviews.keep(place, "mood", read(spec, table, path).verdicts)
    assert kept.height == 20 and not kept["right"].any()
    assert reviews.identity(kept) == reviews.identity(reviews.stored(place, "mood"))
    again = read(spec, table, path).verdicts.with_columns(
        reviewed_at=pl.lit("2027-01-01T00:00:00Z")
    )
    assert reviews.identity(reviews.keep(place, "mood", again)[0]) == reviews.identity(kept)
    (tmp_path / "data/reviews/mood.parquet").write_bytes(b"no")
    with pytest.raises(TargenError, match="not a readable file of verdicts"):
        reviews.stored(place, "mood")


def test_each_part_from_the_top_of_a_sheet_has_every_stratum(spec):
    table = corrected(spec, 400, annotated_label=lambda i: ["glad", "sad"][(i % 2) ^ (i % 5 == 0)])
    rows = review.sample(spec, table, None, 100)
    whole = [row["stratum"] for row in rows]
    assert {name: whole.count(name) for name in set(whole)} == {
        "divided, glad": 25, "divided, sad": 25, "agreed, glad": 25, "agreed, sad": 25
    }  # fmt: skip
    for size in range(1, 101):
        for name in set(whole):
            assert abs(whole[:size].count(name) - size * whole.count(name) / 100) < 1 + 1e-9
    # Sizes that do not divide each other.
    some = [row["stratum"] for row in review.sample(spec, corrected(spec, 90), None, 31)]
    for size in range(1, 32):
        for name in set(some):
            assert abs(some[:size].count(name) - size * some.count(name) / 31) < 1 + 1e-9


def test_a_sheet_has_no_row_that_people_saw(spec, tmp_path):
    table = corrected(spec)
    path = filled(spec, table, tmp_path / "a.csv", lambda n, row: "right")
    verdicts = read(spec, table, path).verdicts
    seen = set(verdicts["instance_id"])
    rest = review.sample(spec, table, None, 60, verdicts)
    assert len(rest) == 40 and not seen & {row["instance_id"] for row in rest}
    settled = corrected(spec, label_before_review=lambda i: "glad" if i < 50 else None)
    assert len(review.sample(spec, settled, None, 60)) == 10


def test_many_labels_are_no_strata(spec):
    few, many = corrected(spec, 20), spec.model_copy(deep=True)
    assert {"agreed, glad", "agreed, sad"} <= set(review_strata.strata(spec, few, None))
    label = many.answer.labels["sad"]
    object.__setattr__(
        many,
        "answer",
        many.answer.model_copy(update={"labels": {f"l{n}": label for n in range(11)}}),
    )
    assert set(review_strata.strata(many, few, None)) == {"agreed", "divided"}


def summary(**strata):
    """Return strata from name -> (unseen, seen, wrong), or (unseen, seen, wrong, left)."""
    rows = [
        {"stratum": name.replace("_", ", "), "unseen": n[0], "seen": n[1], "wrong": n[2],
         "left": (*n, 0)[3], "fixed": n[1] - (*n, 0)[3]}
        for name, n in strata.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=review_strata.STRATA)


def test_the_estimate_is_that_of_all_rows(spec, tmp_path):
    # Every divided row is wrong (6 of 60), no other is: over-sampling must not show.
    table = corrected(spec)
    path = filled(
        spec, table, tmp_path / "a.csv",
        lambda n, row: "wrong" if row["stratum"].startswith("divided") else "right",
    )  # fmt: skip
    verdicts = read(spec, table, path).verdicts
    found = review_strata.in_force(spec, table, None, None, verdicts)
    assert found.sum().select("unseen", "left", "fixed", "seen", "wrong").row(0) == (
        40,
        6,
        14,
        20,
        6,
    )
    # The wrong rows are still there, and no other row is wrong.
    share = review_strata.share_wrong(found)
    assert share.value == pytest.approx(0.1)
    assert share.low <= 0.1 <= share.high < 0.3


def test_rows_that_people_saw_and_corrected_are_right():
    share = review_strata.share_wrong(summary(agreed_a=(900, 50, 5), divided_a=(0, 50, 20)))
    assert share.value == pytest.approx(0.1 * 900 / 1000)
    assert share.low < 0.09 < share.high < 0.2
    all_seen = review_strata.share_wrong(summary(agreed_a=(0, 50, 5), divided_a=(0, 50, 20)))
    assert (all_seen.value, all_seen.low, all_seen.high) == (0.0, 0.0, 0.0)


def test_the_value_is_inside_its_interval():
    random = np.random.default_rng(0)
    for _ in range(300):
        strata = {}
        for name in ("agreed_a", "agreed_b", "divided_a", "divided_b"):
            seen = int(random.choice([0, 1, 5, 30]))
            strata[name] = (int(random.integers(0, 400)), seen, int(random.integers(0, seen + 1)))
        if any(n[1] for n in strata.values()):
            value, low, high = review_strata.share_wrong(summary(**strata))
            assert 0 <= low <= value <= high <= 1
            assert low < high or not any(n[0] for n in strata.values())


def test_a_stratum_without_a_verdict_widens_the_interval():
    with_it = review_strata.share_wrong(summary(agreed_a=(400, 50, 1), divided_a=(100, 20, 4)))
    without = review_strata.share_wrong(summary(agreed_a=(400, 50, 1), divided_a=(100, 0, 0)))
    assert with_it.high < 0.2
    # Each of the 100 rows, of 550, may be wrong.
    assert without.high > 100 / 550 and without.low < with_it.low
    ten_right = review_strata.share_wrong(summary(agreed_a=(440, 10, 0), divided_a=(50, 0, 0)))
    assert ten_right.low == ten_right.value == 0 and ten_right.high > 0.2


@pytest.mark.parametrize("part", ["100 rows", "the first 30 of 100"])
def test_the_interval_of_a_review_covers_the_share(part, monkeypatch):
    monkeypatch.setattr(simulations, "SIMULATIONS", 100)
    found = simulations.measure(simulations.NOISE["usual"], *simulations.REVIEWED[part])
    assert found["covers"] >= 0.9
    assert found["value"] == pytest.approx(found["truth"], abs=0.01)
    assert found["width"] < 0.25


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(tmp_path / "tasks")))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    spec = spec_of(tmp_path / "other", MOOD)
    stored = Tables(LocalStorage(str(tmp_path / "data")))
    table = corrected(spec)
    stored.write("corrected_set", "mood", Stored(table, table.clear()))
    labels = table.select(
        "instance_id", "intended_label", label="annotated_label",
        votes=pl.concat_list("annotated_label"), agreement=pl.lit(1.0), request_ids="request_ids",
    )  # fmt: skip
    stored.write("labels", "mood", Stored(labels, labels.clear()))
    assert "mood.review.csv: 20 rows" in runner.invoke(
        app, ["review", "export", "mood", "--rows", "20"]
    ).output  # fmt: skip
    sheet = tmp_path / "mood.review.csv"
    first = sheet.read_bytes()
    assert runner.invoke(app, ["review", "export", "mood", "--rows", "20"]).exit_code == 0
    assert sheet.read_bytes() == first
    nothing = runner.invoke(app, ["review", "import", str(sheet)])
    assert nothing.exit_code == 1 and "Write right, wrong or the right label" in nothing.output
    assert "anew" not in nothing.output
    lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    lines[1] = lines[1][: -len(",,")] + ",wrong,typed by hand"
    sheet.write_text("\n".join(lines), encoding="utf-8")
    again = runner.invoke(app, ["review", "export", "mood"])
    assert again.exit_code == 1 and "contains verdicts" in again.output
    assert sheet.read_text().count("typed by hand") == 1
    done = runner.invoke(app, ["review", "import", str(sheet)])
    assert "mood: 1 verdict read, 1 of them wrong, 19 not filled in; 1 kept in all." in done.output
    # The run must not grow a set that was made for another number of rows.
    assert done.output.endswith("again to apply them: make run TASK=mood\n")
    pages = {"json": json.dumps({"rows_asked": 5})}
    figures = pl.DataFrame(schema=steps.schema("quality_report", {}))
    stored.write("quality_report", "mood", Stored(figures, pages=pages))
    done = runner.invoke(app, ["review", "import", str(sheet)])
    assert done.output.endswith("again to apply them: TARGEN_ROWS=5 make run TASK=mood\n")
    name = lines[1].split(",")[1]
    sheet.write_text("\n".join(lines).replace(name, "1.2E+15"), encoding="utf-16")
    found = runner.invoke(app, ["review", "import", str(sheet)])
    assert "1 with a changed instance_id, found by content (line 2); 1 kept in all." in found.output
    (tmp_path / "mine.txt").write_text("my notes")
    other = runner.invoke(app, ["review", "export", "mood", "--output", "mine.txt"])
    assert other.exit_code == 1 and "exists and is not a review sheet" in other.output
