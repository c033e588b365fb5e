import json

import polars as pl
import pytest

from targen.errors import TableError
from targen.tasks import imports
from targen.tasks.imports import Mapped, pairs, read_file
from tests.support.specs import MOOD, real_task, spec_of

PLAIN = Mapped({}, {})


def jsonl(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def mood(tmp_path, rows, columns=None, labels=None, text=MOOD):
    return read_file(
        jsonl(tmp_path, *rows),
        spec_of(tmp_path / "tasks", text),
        Mapped(columns or {}, labels or {}),
    )


def test_columns_and_labels_are_renamed_and_the_rest_left_out(tmp_path):
    rows = [{"text": "hello", "y": 1, "id": 3}, {"text": "oh", "y": False, "id": 4}]
    made = mood(tmp_path, rows, {"text": "note", "y": "label"}, {"1": "glad", "false": "sad"})
    assert made.to_dicts() == [{"note": "hello", "label": "glad"}, {"note": "oh", "label": "sad"}]


def test_the_first_mapped_column_that_is_there_goes_before_the_fields_own_name(tmp_path):
    rows = [{"note": "own", "b": "mapped", "label": "glad"}]
    assert mood(tmp_path, rows, {"a": "note", "b": "note"})["note"].to_list() == ["mapped"]
    assert mood(tmp_path, rows, {"a": "note"})["note"].to_list() == ["own"]


def test_labels_as_other_programs_write_them():
    spec = real_task("boolq")
    for found in (True, "true", "True", "TRUE", " true", "True\u00a0"):
        rows = imports.Rows(
            "r", {"passage": ["p"], "question": ["q"], "label": [found]}, [1], "row"
        )
        assert imports.shaped(rows, spec, PLAIN)["label"].to_list() == ["true"]
    copa = {name: ["x"] for name in ("premise", "choice1", "choice2")} | {"question": ["cause"]}
    for found in (1, 1.0, "1"):
        rows = imports.Rows("r", copa | {"label": [found]}, [1], "row")
        assert imports.shaped(rows, real_task("copa"), PLAIN)["label"].to_list() == ["1"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"nota": "a", "label": "glad"}], r"no column for 'note'; did you mean 'nota'\?"),
        ([{"note": "a"}], "no column for 'label'.*--column label=FOUND"),
        (
            [{"note": "a", "label": x} for x in ("glad", "mad", "mad", "bad", "mad", "mad")],
            r"lines 2, 3, 5 and 1 more: 'label' is 'mad', "
            r"which is not a label of mood \(glad, sad\)",
        ),
        ([{"note": "a", "label": None}], "line 1: 'label' is empty"),
        ([{"note": "a", "label": ["glad"]}], "which is not a label"),
        ([{"note": "a", "label": "glad"}, {"label": "sad"}], "line 2: 'note' is empty"),
        ([{"note": " ", "label": "glad"}], "line 1: 'note' is empty"),
        ([{"note": 5, "label": "glad"}], "'note' must be text, found 5"),
        ([{"note": {"a": "x" * 90}, "label": "glad"}], "must be text, found .*x…"),
    ],
)
def test_what_does_not_fit_is_told_with_its_lines(tmp_path, rows, words):
    with pytest.raises(TableError, match=words):
        mood(tmp_path, rows)


def test_the_name_of_the_column_is_told_where_it_is_another(tmp_path):
    with pytest.raises(TableError, match=r"'note' \(column 'text'\) is empty"):
        mood(tmp_path, [{"text": "", "label": "glad"}], {"text": "note"})


def test_optional_fields_may_lack(tmp_path):
    text = MOOD.replace("{description: the note}", "{description: the note, optional: true}")
    made = mood(tmp_path, [{"label": "glad"}, {"label": "sad", "note": None}], text=text)
    assert made["note"].to_list() == ["", ""]


def test_half_characters_do_not_reach_a_table(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"note": "a\\ud800b", "label": "glad"}')
    made = read_file(path, spec_of(tmp_path / "tasks"), PLAIN)
    assert made["note"].to_list() == ["a?b"]


def test_lists_numbers_and_choices(tmp_path):
    spec = real_task("riddlesense")
    path = tmp_path / "r.csv"
    path.write_text('question,options,label\nq,"[""a"", ""b""]",a\n')
    made = read_file(path, spec, PLAIN)
    assert made.to_dicts() == [{"question": "q", "options": ["a", "b"], "label": "a"}]
    path.write_text("question,options,label\nq,a;b,a\n")
    with pytest.raises(TableError, match="'options' must be a list of texts, found 'a;b'"):
        read_file(path, spec, PLAIN)
    wic = {"word": "w", "sentence1": "a w", "sentence2": "w", "label": True}
    spans = {"start1": "2", "end1": 3, "start2": 0.0, "end2": 1}
    made = read_file(jsonl(tmp_path, wic | spans), real_task("wic"), PLAIN)
    assert made.select("start1", "end1", "start2", "end2").row(0) == (2, 3, 0, 1)
    # A float holds neither of them.
    large = {"start1": str(2**53 + 1), "end1": 2**63 - 1}
    made = read_file(jsonl(tmp_path, wic | spans | large), real_task("wic"), PLAIN)
    assert made.select("start1", "end1").row(0) == (2**53 + 1, 2**63 - 1)
    with pytest.raises(TableError, match="'start1' must be a whole number, found '2.5'"):
        read_file(jsonl(tmp_path, wic | spans | {"start1": "2.5"}), real_task("wic"), PLAIN)
    with pytest.raises(TableError, match="'end1' must be a whole number of at most 64 bits, found"):
        read_file(jsonl(tmp_path, wic | spans | {"end1": 2**63}), real_task("wic"), PLAIN)
    # Derived fields may be left out.
    assert "start1" not in read_file(jsonl(tmp_path, wic), real_task("wic"), PLAIN).columns
    copa = {"premise": "p", "choice1": "a", "choice2": "b", "question": "why", "label": 0}
    with pytest.raises(TableError, match="'question' is 'why', but must be one of"):
        read_file(jsonl(tmp_path, copa), real_task("copa"), PLAIN)


def test_several_labels_and_none(tmp_path):
    stories = real_task("stories")
    names = sorted(stories.labels)[:2]
    row = dict.fromkeys(stories.fields, "x") | {"label": names[::-1]}
    made = read_file(jsonl(tmp_path, row), stories, PLAIN)
    assert made["label"].to_list() == [names]
    assert made.schema["label"] == pl.List(pl.String)
    row = dict.fromkeys(real_task("instructions").fields, "x") | {"kind": "open"}
    assert "label" not in read_file(jsonl(tmp_path, row), real_task("instructions"), PLAIN).columns


def test_options_of_the_command_line():
    assert pairs(["premise=sentence1", "label=a=b"], "column") == {
        "sentence1": "premise",
        "a=b": "label",
    }
    for bad in ("premise", "=x", "premise="):
        with pytest.raises(TableError, match=r"write COLUMN=FOUND"):
            pairs([bad], "column")
    with pytest.raises(TableError, match="each FOUND once"):
        pairs(["a=x", "b=x"], "label")
