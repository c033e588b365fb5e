"""Rows and documents of the user's own."""

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.columns import FIELD_DTYPES
from targen.errors import SpecError, StepError
from targen.operators import run_step, step_digest
from targen.steps import frame
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, judging, random_model
from tests.support.specs import MOOD, real_task, spec_of

OWN = MOOD[: MOOD.index("contexts:")].replace("rows: 8", "rows: 4\nrecipe: label-own-data") + (
    "rows_file: rows.csv\nheadroom: 1\n"
)
ROWS = "note,ignored\nHooray,1\n,2\nhooray ,3\nAlas,4\nOh,5\nWell,6\nHm,7\nAh,8\n"


def own(folder, text=OWN, rows=ROWS, name="rows.csv"):
    (folder / name).write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    return spec_of(folder, text)


def judge(wrong=()):
    """Label notes by a fixed rule; the corrector errs on the notes in `wrong`."""

    def answer(request):
        (row,) = block_of(request)["rows"]
        label = "glad" if row["note"] in ("Hooray", "Ah", "Oh") else "sad"
        other = "sad" if label == "glad" else "glad"
        errs = request.schema_name == "correction" and row["note"] in wrong
        return judging(request, lambda row: other if errs else label)

    return ScriptedModel(answer)


async def test_rows_are_taken_in_order_checked_and_counted(tmp_path):
    made = await tables_of(own(tmp_path), judge(), "instances")
    made = made["instances"]
    assert made.table["note"].to_list() == ["Hooray", "Alas", "Oh", "Well", "Hm"]
    assert made.table["slot"].to_list() == [0, 3, 4, 5, 6]
    assert made.table["intended_label"].null_count() == 5
    assert made.rejected["reason"].to_list() == ["invalid", "duplicate"]


async def test_labels_keep_the_file_s_order_and_disputed_rows_go_to_a_person(tmp_path):
    made = await tables_of(own(tmp_path), judge(wrong={"Oh"}))
    table = made["corrected_set"].table
    assert table.select("note", "label").rows() == [
        ("Hooray", "glad"),
        ("Alas", "sad"),
        ("Well", "sad"),
        ("Hm", "sad"),
    ]
    (disputed,) = made["corrected_set"].rejected.to_dicts()
    assert (disputed["reason"], disputed["annotated_label"], disputed["corrected_label"]) == (
        "dropped",
        "glad",
        "sad",
    )
    assert not any("too few rows of" in text for text in made["corrected_set"].warnings)


async def test_a_file_with_fewer_rows_than_wanted_gives_a_smaller_data_set(tmp_path):
    spec = own(tmp_path, OWN.replace("rows: 4", "rows: 40"), "note\nHooray\nAlas\nhooray\n\nOh\n")
    made = await tables_of(spec, judge())
    assert made["corrected_set"].table["note"].to_list() == ["Hooray", "Alas", "Oh"]
    (warning,) = made["instances"].warnings
    assert warning == (
        "rows.csv has 3 valid rows, fewer than the 40 that `rows` asks for: the data set will have "
        "at most 3. Add rows to the file, or set `rows: 3` in the task"
    )
    assert made["corrected_set"].warnings == ["the corrected set has 3 of 40 rows"]


async def test_a_very_long_text_is_named_before_it_is_paid_for(tmp_path):
    words = " ".join(f"word{number}" for number in range(12_000))
    spec = own(tmp_path, rows=f'note\nHooray\n"{words}"\nOh\nAlas\n')
    made = await run_step("instances", spec, {}, None)
    (warning,) = made.warnings
    assert warning.startswith(
        f"1 row of rows.csv has a text of 100,000 characters or more: row 2 has {len(words):,} in "
        "'note'. "
    )
    shown = CliRunner().invoke(app, ["validate", str(spec.source)]).output
    assert warning.split()[-1] in shown and "1 row of rows.csv has a text of" in shown


async def test_most_own_rows_may_be_disputed_but_not_all(tmp_path):
    spec = own(tmp_path, rows="note\nHooray\nAlas\nOh\nWell\n")
    made = await tables_of(spec, judge(wrong={"Alas", "Oh", "Well"}))
    assert made["corrected_set"].table["note"].to_list() == ["Hooray"]
    assert made["corrected_set"].rejected["reason"].to_list() == ["dropped"] * 3
    with pytest.raises(StepError, match="only 0 of 4 rows are left after correction") as caught:
        await tables_of(spec, judge(wrong={"Hooray", "Alas", "Oh", "Well"}))
    assert len(caught.value.rejected) == 4


async def test_no_valid_row_is_one_error(tmp_path):
    spec = own(tmp_path, rows='note\n" "\n')
    with pytest.raises(StepError, match="no row of the file is valid .*not_empty 1"):
        await run_step("instances", spec, {}, None)


def test_a_csv_holds_lists_and_numbers_and_a_line_any_character(tmp_path):
    typed = "  words: {description: d, type: texts}\n  size: {description: d, type: integer}"
    text = OWN.replace("  note: {description: the note}", typed)
    spec = own(tmp_path, text, 'words,size\n"[""a"", ""b""]",3\n')
    assert spec.given_rows == [{"words": ["a", "b"], "size": 3}]
    lines = own(tmp_path, OWN.replace("rows.csv", "l.jsonl"), '{"note": "a\u2028b"}\n', "l.jsonl")
    assert lines.given_rows == [{"note": "a\u2028b"}]


TABLE = "Note;n\n" + "Hooray;1\n" + '"Alas,\nalas";2\n' + ";\n;\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig").replace(b"\n", b"\r\n"),
        TABLE.replace(";", "\t").encode("utf-16"),
        b"sep=;\r\n" + TABLE.encode(),
    ],
)
def test_own_rows_may_come_from_any_spreadsheet(tmp_path, content):
    spec = own(tmp_path, rows=content)
    assert spec.given_rows == [{"note": "Hooray"}, {"note": "Alas,\nalas"}]


def test_own_rows_come_from_every_kind_of_file_that_references_do(tmp_path):
    frame = pl.DataFrame({"text": ["Hooray", "Alas"], "n": [1, 2]})
    for name, content in (
        ("rows.csv", frame.write_csv()),
        ("rows.tsv", frame.write_csv(separator="\t")),
        ("rows.jsonl", frame.write_ndjson()),
    ):
        text = OWN.replace("rows.csv", name) + "columns: {text: note}\n"
        assert own(tmp_path, text, content, name).given_rows == [
            {"note": "Hooray"}, {"note": "Alas"}
        ]  # fmt: skip
    frame.write_parquet(tmp_path / "rows.parquet")
    text = OWN.replace("rows.csv", "rows.parquet") + "columns: {text: note}\n"
    assert spec_of(tmp_path, text).given_rows == [{"note": "Hooray"}, {"note": "Alas"}]


def test_a_very_long_cell_an_optional_field_and_half_a_character(tmp_path):
    long = " ".join(f"word{n % 97}" for n in range(30_000))
    assert own(tmp_path, rows=f"note\n{long}\n").given_rows == [{"note": long}]
    typed = "  note: {description: d}\n  input: {description: d, optional: true}"
    text = OWN.replace("  note: {description: the note}", typed)
    assert own(tmp_path, text, "note\nHm\n").given_rows == [{"note": "Hm", "input": ""}]
    text = OWN.replace("rows.csv", "l.jsonl")
    spec = own(tmp_path, text, '{"note": "a\\ud83d"}\n', "l.jsonl")
    assert spec.given_rows == [{"note": "a?"}]


TYPES = {"choice": None, "integer": None, "float": None, "boolean": None, "date": None, "texts": []}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("rows", ["note\nHm\n", "note,more\nHm,\n"], ids=["absent", "blank"])
def test_an_optional_field_of_any_type_fits_its_column_when_empty(tmp_path, kind, rows):
    values = ", values: [a, b]" * (kind == "choice")
    typed = f"  note: {{description: d}}\n  more: {{type: {kind}, optional: true{values}}}"
    spec = own(tmp_path, OWN.replace("  note: {description: the note}", typed), rows)
    assert spec.given_rows == [{"note": "Hm", "more": TYPES[kind]}]
    columns = {name: FIELD_DTYPES[field.type] for name, field in spec.fields.items()}
    assert frame(spec.given_rows, columns).height == 1


def test_a_changed_file_changes_the_step(tmp_path):
    before = step_digest("instances", own(tmp_path))
    assert before == step_digest("instances", own(tmp_path, rows=ROWS.replace(",8", ",9")))
    assert before != step_digest("instances", own(tmp_path, rows=ROWS.replace("Ah", "Ach")))


@pytest.mark.parametrize(
    ("rows", "name", "message"),
    [
        (
            "text\nHooray\n",
            "rows.csv",
            "line 1, has no column for 'note' (cells",
        ),
        ("note\n", "rows.csv", "contains no rows"),
        ('{"note": 3}\n', "rows.jsonl", "line 1: 'note' must be text, found 3"),
        ('{"note": "a"}\n[1]\n', "rows.jsonl", "line 2: a row must be a JSON object"),
        ('{"note": \n', "rows.jsonl", "rows.jsonl, line 1 is not valid JSON"),
        ("note,n\nWhere is it, and when?,1\n", "rows.csv", "rows.csv, line 2 has 3 cells"),
        ("note,n\nHooray,1\nAlas\n", "rows.csv", "rows.csv, line 3 has 1 cells"),
        ("note,note\nHooray,Alas\n", "rows.csv", "line 1: two columns named 'note'"),
        ('{"note": "a", "note": "b"}\n', "rows.jsonl", "line 1: two values for 'note'"),
        (
            '{"note": "a"}\n{"note": null}\n',
            "rows.jsonl",
            "line 2: 'note' is empty",
        ),
        (
            "sep=;\ntext;n\nHooray;1\n",
            "rows.csv",
            "line 2, has no column for 'note' (cells",
        ),
        (b"note\nl\xe4rm\n", "rows.csv", "rows.csv is not UTF-8: line 2 contains the byte 0xe4"),
        (b"l\xe4rm\n", "rows.txt", "rows.txt is not UTF-8: line 1 contains the byte 0xe4"),
        ("x", "rows.xlsx", "'rows.xlsx' is a spreadsheet: save it as CSV"),
        ("x", "rows.doc", "must end in .parquet, .jsonl, .ndjson, .json, .csv, .tsv or .txt"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_line(tmp_path, rows, name, message):
    with pytest.raises(SpecError) as caught:
        own(tmp_path, OWN.replace("rows.csv", name), rows, name)
    assert message in str(caught.value)
    assert "rows_file: " in str(caught.value)


@pytest.mark.parametrize("name", ["../rows.csv", "missing.csv"])
def test_a_file_must_stand_in_the_task_s_folder(tmp_path, name):
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(SpecError, match="leaves the folder|There is no file"):
        spec_of(tmp_path / "tasks", OWN.replace("rows.csv", name))


def test_a_recipe_that_needs_a_file_says_so(tmp_path):
    with pytest.raises(SpecError, match="name it in `rows_file`"):
        spec_of(tmp_path, OWN.replace("rows_file: rows.csv\n", ""))
    with pytest.raises(SpecError, match=r"name it in `seeds\.file`"):
        spec_of(tmp_path, MOOD.replace("seeds: {page: 3}", "seeds: {operator: file}"))


async def test_every_document_is_used_before_any_is_used_twice():
    model = random_model()
    made = await tables_of(real_task("boolq-documents", rows=40), model)
    seeds, instances = made["seeds"].table, made["instances"].table
    assert len(seeds) == 24
    assert instances["seed_id"].head(24).is_unique().all()
    assert instances["seed_id"].value_counts()["count"].max() == 3  # 56 rows of 24 documents
    assert len(made["corrected_set"].table) == 40


async def test_a_document_that_comes_again_is_asked_anew():
    model = random_model()
    made = await tables_of(real_task("boolq-documents", rows=40), model, "instances")
    assert made["instances"].table.select("passage", "question").is_unique().all()
    asked = [(r.messages[1]["content"], r.sample) for r in model.history]
    assert len(set(asked)) == len(asked)


async def test_without_contexts_and_seeds_every_call_is_a_sample_of_its_own(tmp_path):
    model = random_model()
    steps = "recipe: zerogen\nsteps:\n  contexts: {operator: none}\n"
    spec = spec_of(tmp_path, MOOD[: MOOD.index("steps:")] + steps, rows=30)
    made = await tables_of(spec, model, "instances")
    assert made["instances"].table["note"].is_unique().all()
    assert len({r.sample for r in model.history}) == len(model.history)


async def test_documents_of_no_context_serve_all_contexts(tmp_path):
    rows = "".join(f'{{"event": "event {n}"}}\n' for n in range(5))
    (tmp_path / "events.jsonl").write_text(rows, encoding="utf-8")
    text = MOOD.replace("seeds: {page: 3}", "seeds: {operator: file}")
    text = text.replace("  kind: sentence\n", "  kind: sentence\n  file: events.jsonl\n")
    made = await tables_of(spec_of(tmp_path, text), random_model(), "instances")
    table = made["instances"].table.sort("slot").head(10)
    order = made["seeds"].table["seed_id"].to_list()
    assert table["seed_id"].to_list() == order * 2
    assert table["context_id"].to_list() == made["contexts"].table["context_id"].to_list() * 5
