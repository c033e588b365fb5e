import json

import pytest

from targen.cli.base import task_or_file
from targen.errors import SpecError, TableError
from targen.tasks import own_data
from targen.tasks.import_files import read
from targen.tasks.imports import Mapped, pairs, shaped
from targen.tasks.loading import load_task_file
from tests.support.specs import MOOD, RECIPES


def made(tmp_path, rows, text=("t",), label=None, renamed=None, language="en"):
    """Return the task of some rows, and its table for a report."""
    path = tmp_path / "My rows (1).jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    found = read(path)
    spec = own_data.from_columns(path, [found], text, label, renamed or {}, language)
    mapped = Mapped(spec.columns, renamed or {})
    return spec, shaped(found, spec, mapped, to_report=True)


def test_the_columns_of_a_file_are_a_task(tmp_path):
    rows = [
        {"First text": "a", "label": True, "parts": ["x", "y"], "n": 1},
        {"First text": None, "label": None, "parts": None, "n": 2},
        {"First text": " ", "label": False, "parts": [], "n": 3},
    ]
    spec, table = made(tmp_path, rows, ("First text", "PARTS"))
    assert (spec.name, spec.title) == ("my-rows-1", "My rows (1).jsonl")
    assert list(spec.labels) == ["false", "true"]
    assert table.to_dicts() == [
        {"First_text": "a", "parts": ["x", "y"], "label": "true"},
        {"First_text": "", "parts": [], "label": None},
        {"First_text": " ", "parts": [], "label": "false"},
    ]


@pytest.mark.parametrize(
    ("values", "renamed", "wanted"),
    [
        ([1, 0, 10, 2], {}, ["0", "1", "2", "10"]),
        (["1", "0"], {"0": "no", "1": "yes"}, ["no", "yes"]),
        ([1.0, 0.0, float("nan")], {"0": "no"}, ["1", "no"]),
        ([True, False], {"true": "yes"}, ["false", "yes"]),
    ],
)
def test_numbers_and_booleans_are_labels(tmp_path, values, renamed, wanted):
    rows = [{"t": "a", "y": value} for value in values]
    spec, table = made(tmp_path, rows, label="y", renamed=renamed)
    assert list(spec.labels) == wanted
    assert set(table["label"].drop_nulls()) == set(wanted)


def test_lists_are_several_labels(tmp_path):
    spec, table = made(tmp_path, [{"t": "a", "y": ["b", "a"]}, {"t": "b", "y": []}], label="y")
    assert (spec.answer.kind, list(spec.labels)) == ("multi", ["a", "b"])
    assert table["label"].to_list() == [["a", "b"], []]


def test_rows_need_no_label(tmp_path):
    spec, table = made(tmp_path, [{"t": "a"}])
    assert (spec.answer.kind, table.columns) == ("none", ["t"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": ()}, "Name the columns of .*jsonl with text: --text A,B. It has t, y"),
        ({"text": ("tt",)}, r"--text tt: My rows .* has no such column; did you mean 't'\?"),
        ({"label": "z"}, r"--label z: .* has no such column; valid: t, y\."),
        ({"label": "t"}, "The column t cannot be both text and label"),
        ({"label": "y", "renamed": {"7": "seven"}}, "--label seven=7: y has no value 7; valid: 0"),
        ({"rows": [{"t": "a", "y": None}], "label": "y"}, "--label y: the column is empty"),
        ({"rows": [{"t": "a", "y": {"b": 1}}], "label": "y"}, "are objects or nested lists"),
        ({"rows": [{"t": "a", "y": n} for n in range(30)], "label": "y"}, "30 different values in"),
        ({"rows": [{"t": "a", "y": "b" * 501}], "label": "y"}, "501 characters, so its values are"),
        ({"rows": [{"t": 3, "y": 1}]}, "line 1: 't' must be text, found 3"),
        ({"language": "dee"}, r"--language dee: did you mean 'de'\?"),
        ({"rows": [{"a b": "x", "a_b": "y"}], "text": ("a b", "a_b")}, "nearly the same name"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, changes, words):
    given = {"rows": [{"t": "a", "y": 0}, {"t": "b", "y": 1}]} | changes
    with pytest.raises(TableError, match=words):
        made(tmp_path, **given)


SHORT = """
report_only: true
fields: [note, reply]
answer:
  labels: [glad, sad]
"""


def test_a_short_file_is_a_task_for_reports(tmp_path):
    path = tmp_path / "moods.yaml"
    path.write_text(SHORT)
    spec = load_task_file(path, tmp_path / "no recipes")
    assert (spec.name, spec.title, list(spec.labels)) == ("moods", "moods", ["glad", "sad"])
    assert spec.field_types == {"note": "text", "reply": "text"}
    path.write_text(
        "report_only: true\nname: own\nfields: {note: , kind: {type: choice, values: [a, b]}}\n"
        "answer: {kind: multi, labels: {glad: , sad: {definition: not glad}}}\n"
        "columns: {text: note}\ngates: [{metric: exact_duplicates, at_most: 0}]\n"
    )
    spec = load_task_file(path, tmp_path)
    assert (spec.name, spec.field_types["kind"]) == ("own", "choice")
    assert spec.label_definitions["sad"] == "not glad"
    path.write_text("report_only: true\nfields: [note]\n")
    assert load_task_file(path, tmp_path).answer.kind == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SHORT.replace("true", "yes please"), r"moods.yaml:2: report_only: write `true`"),
        (SHORT + "recipe: targen\n", r"moods.yaml:6: recipe: a task with `report_only` has no"),
        (SHORT + "feilds: 3\n", r"moods.yaml:6: feilds: unknown key; did you mean 'fields'\?"),
        (SHORT.replace("[glad, sad]", "[glad]"), "answer.labels: .* needs at least two labels"),
        (SHORT.replace("[note, reply]", "[the note]"), "fields.the note: the name of a field must"),
        (SHORT.replace("fields: [note, reply]\n", ""), "fields: "),
        (SHORT + "gates: [{metric: exact_dup}]\n", "unknown metric 'exact_dup'; did you mean"),
    ],
)
def test_a_mistake_in_a_short_file_names_line_and_key(tmp_path, text, words):
    path = tmp_path / "moods.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=words):
        load_task_file(path, tmp_path)


def test_a_task_is_found_by_its_path(tmp_path, monkeypatch):
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    path = tmp_path / "mood.yaml"
    path.write_text(MOOD)
    (tmp_path / "child.yaml").write_text("name: child\nextends: mood\ntitle: Child\n")
    assert task_or_file(str(tmp_path / "child.yaml")).title == "Child"
    with pytest.raises(SpecError, match=r"no file .*moods.yaml; did you mean 'mood.yaml'\?"):
        task_or_file(str(tmp_path / "moods.yaml"))
    path.write_text("name: mood\ntitle: t\nfields: {note: {}}\n")
    with pytest.raises(SpecError, match="required key is missing\n(.*\n)*.*`report_only: true`"):
        task_or_file(str(path))


def test_a_task_for_reports_is_no_partition(tmp_path):
    from targen.tasks.loading import load_task

    (tmp_path / "moods.yaml").write_text("name: moods" + SHORT)
    with pytest.raises(SpecError, match=r"moods.yaml:2: report_only: .* for reports only; move"):
        load_task("moods", tmp_path, RECIPES)


def test_one_option_may_have_several_pairs():
    assert pairs(["no=0,yes=1", "a,b=2"], "label") == {"0": "no", "1": "yes", "2": "a,b"}
    with pytest.raises(TableError, match="--label no=0,yes=0: write LABEL=FOUND, each FOUND once"):
        pairs(["no=0,yes=0"], "label")
