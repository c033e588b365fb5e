import sys

import polars as pl
import pytest

from targen.errors import SpecError, TableError
from targen.tasks import references
from targen.tasks.loading import load_task
from tests.support.specs import MOOD, RECIPES, spec_of, write_task

GOLD = "text,mood\nwell,good\noh,bad\n"
REFERENCE = """\
reference:
  file: gold.csv
  columns: {text: note, mood: label}
  labels: {good: glad, bad: sad}
"""


def task(tmp_path, more, **files):
    folder = tmp_path / "tasks"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return spec_of(folder, MOOD + more)


def test_a_file_beside_the_task_is_brought_into_its_columns(tmp_path):
    spec = task(tmp_path, REFERENCE, gold_csv=GOLD)
    gold = references.of(spec)
    assert gold.name == "gold"
    assert gold.rows.rows() == [("well", "glad"), ("oh", "sad")]
    assert gold.elsewhere == {}


def test_without_a_reference_there_is_none(tmp_path):
    gold = references.of(task(tmp_path, ""))
    assert gold.rows is None


def test_the_tasks_columns_hold_for_all_files_and_the_files_own_go_first(tmp_path):
    more = """\
columns: {text: note, other: label}
reference: {file: gold.csv, columns: {mood: label}, labels: {good: glad, bad: sad}}
elsewhere:
  far: {file: far.jsonl}
"""
    far = '{"text": "so", "other": "SAD"}\n'
    spec = task(tmp_path, more, gold_csv=GOLD, far_jsonl=far)
    gold = references.of(spec)
    assert gold.rows["label"].to_list() == ["glad", "sad"]
    assert gold.elsewhere["far"].rows() == [("so", "sad")]


def test_a_file_given_at_the_call_goes_first(tmp_path):
    spec = task(tmp_path, REFERENCE, gold_csv=GOLD)
    other = tmp_path / "mine.jsonl"
    other.write_text('{"body": "hm", "mood": "meh"}')
    gold = references.of(spec, other, {"body": "note"}, {"meh": "sad"})
    assert (gold.name, gold.rows.rows()) == ("mine", [("hm", "sad")])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("reference: {file: absent.csv}", r"mood.yaml:\d+: reference.file: there is no file 'ab"),
        ("reference: {file: gold.txt}", "reference.file: the name of 'gold.txt' must end in .parq"),
        ("reference: {file: ../gold.csv}", "reference.file: '../gold.csv' leaves the folder"),
        ("elsewhere: {far: {file: absent.csv}}", "elsewhere.far.file: there is no file"),
        ("elsewhere: {far: {columns: {a: note}}}", "elsewhere.far: it needs a `file` or `hf`"),
        ("reference: {file: a.csv, hf: {dataset: x}}", "give `file` or `hf`, not both"),
        ("unlabeled: {file: absent.csv}", "unlabeled.file: there is no file 'absent.csv'"),
        ("unlabeled: {columns: {a: note}}", "unlabeled: it needs a `file` or `hf`"),
        ("unlabeled: {file: a.csv, labels: {a: glad}}", "unlabeled.labels: unlabeled texts have"),
        ("unlabeled: {columns: {m: nota}}", "unlabeled.columns.m: no field 'nota'; did you mean"),
        ("reference: {hf: {dataset: x, part: y}}", "reference.hf.part: unknown key"),
        ("columns: {text: nota}", "columns.text: no field 'nota'; did you mean 'note'"),
        ("reference: {columns: {m: lable}}", "reference.columns.m: no field 'lable'; did you mean"),
        ("reference: {labels: {good: gladd}}", "reference.labels.good: no label 'gladd'; did you"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path, more, words):
    with pytest.raises(SpecError, match=words):
        task(tmp_path, more)


def test_a_folder_of_references_goes_first_also_for_what_extends_the_task(tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "gold.csv").write_text(GOLD)
    write_task(folder, MOOD + REFERENCE)
    write_task(folder, "name: child\nextends: mood\nrecipe: targen-paper\n", "child")
    given = tmp_path / "gold"
    given.mkdir()

    def names(task):
        return (
            references.of(load_task(task, folder, RECIPES, references=given)).rows["note"].to_list()
        )

    assert names("child") == ["well", "oh"]
    (given / "mood.csv").write_text("text,mood\nbase,good\n")
    assert names("mood") == names("child") == ["base"]
    (given / "child.jsonl").write_text('{"note": "own", "label": "glad"}')
    assert names("child") == ["own"]
    (given / "child.csv").write_text("a\n")
    with pytest.raises(SpecError, match=r"child.csv and child.jsonl are both for 'child'"):
        names("child")
    with pytest.raises(SpecError, match="there is no such folder; set TARGEN_REFERENCES_DIR"):
        load_task("mood", folder, RECIPES, references=tmp_path / "absent")


def test_what_the_report_reads_is_in_its_identity(tmp_path):
    spec = task(tmp_path, REFERENCE, gold_csv=GOLD)
    before = references.identity(spec)
    assert references.identity(spec) == before
    (tmp_path / "tasks" / "gold.csv").write_text(GOLD + "more,good\n")
    assert references.identity(spec) != before
    (tmp_path / "tasks" / "gold.csv").unlink()
    assert references.identity(spec)["files"] == {"reference": "unreadable"}
    with pytest.raises(TableError, match="There is no file"):
        references.of(spec)


def test_derived_columns_that_gold_lacks_are_null(tmp_path):
    from tests.support.specs import real_task

    path = tmp_path / "wic.jsonl"
    path.write_text('{"word": "w", "sentence1": "a w", "sentence2": "w", "label": true}')
    rows = references.of(real_task("wic"), path).rows
    assert rows["start1"].to_list() == [None]
    assert rows.schema["start1"] == pl.Int64


HUB = """\
reference:
  hf: {dataset: moods, config: small, split: test, revision: abc}
  labels: {good: glad, bad: sad}
"""


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    class ClassLabel:
        names = ("good", "bad")

    class Data:
        features = {"note": object(), "label": ClassLabel()}  # noqa: RUF012

        def to_polars(self):
            return pl.DataFrame({"note": ["well", "oh"], "label": [0, 1]})

    asked = []

    def load_dataset(*names, **more):
        asked.append((names, more))
        if names[1] != "small":
            raise ValueError("no such config\nmore lines")
        return Data()

    package = type(sys)("datasets")
    package.ClassLabel, package.load_dataset = ClassLabel, load_dataset
    monkeypatch.setitem(sys.modules, "datasets", package)
    spec = task(tmp_path, HUB)
    gold = references.of(spec)
    assert asked == [(("moods", "small"), {"split": "test", "revision": "abc"})]
    assert (gold.name, gold.rows.rows()) == ("moods", [("well", "glad"), ("oh", "sad")])
    bad = spec_of(tmp_path / "other", MOOD + HUB.replace("small", "large"))
    with pytest.raises(
        TableError, match=r"moods \(large, test\) cannot be loaded: no such config\."
    ):
        references.of(bad)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TableError, match=r"pip install datasets"):
        references.of(task(tmp_path, HUB))


def test_unlabeled_texts_need_no_label_and_may_have_empty_cells(tmp_path):
    more = "unlabeled: {file: pool.csv, columns: {text: note}}"
    spec = task(tmp_path, more, pool_csv="text,when\nwell,1\n,2\nso,3\n")
    assert references.unlabeled(spec).to_dict(as_series=False) == {"note": ["well", "", "so"]}
    assert references.unlabeled(task(tmp_path / "none", "")) is None


def test_unlabeled_texts_without_a_text_field_name_the_columns_that_there_are(tmp_path):
    spec = task(tmp_path, "unlabeled: {file: pool.csv}", pool_csv="text,when\nwell,1\n")
    with pytest.raises(
        TableError, match=r"for any of the text fields note. It has the columns text, when"
    ):
        references.unlabeled(spec)


def test_unlabeled_texts_are_no_input_of_the_report(tmp_path):
    from targen.quality.inputs import report_digest

    spec = task(tmp_path, "unlabeled: {file: pool.csv}", pool_csv="note\nwell\n")
    before = report_digest(spec), references.unlabeled_identity(spec)
    (tmp_path / "tasks" / "pool.csv").write_text("note\noh\n")
    assert report_digest(spec) == before[0]
    assert references.unlabeled_identity(spec) != before[1]
