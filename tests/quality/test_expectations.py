"""Great Expectations run for real: what it finds, its words, and the page."""

import json

import polars as pl
import pytest

from targen import steps
from targen.errors import SpecError
from targen.quality import expectations, suites
from targen.tables.files import Stored
from targen.tables.storage import LocalStorage
from targen.tasks.sections import Expectation
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import MOOD, spec_of

HOSTILE = "</td><script>alert(1)</script> $column \u202e\x00 =1+1 " + "x" * 4000


def corrected(spec, notes, labels=None):
    rows = [
        {
            "instance_id": f"{i:016x}",
            "note": note,
            "label": (labels or ["glad", "sad"] * 9)[i],
            "intended_label": ["glad", "sad"][i % 2],
            "verdict": "kept",
            "request_ids": [],
        }
        for i, note in enumerate(notes)
    ]
    return steps.frame(rows, steps.schema("corrected_set", spec.field_types))


def looked_at(spec, table, step="corrected_set"):
    suite = suites.build(step, spec, table, {})
    return expectations.validate(step, spec, table, suite)


def missed(found):
    return [one["expectation_config"]["type"] for one in found["results"] if not one["success"]]


@pytest.fixture
def spec(tmp_path):
    return spec_of(tmp_path / "tasks")


def test_a_proper_table_meets_everything_twice_alike(spec):
    table = corrected(spec, [f"note {i}" for i in range(8)])
    found = looked_at(spec, table)
    assert missed(found) == [] and found["success"]
    assert found["statistics"]["evaluated_expectations"] == len(found["results"])
    assert found == looked_at(spec, table)
    assert "note values must be unique." in [one["words"] for one in found["results"]]


def test_what_is_wrong_is_found(spec):
    notes = ["same", "same", "", "a", "b", "c", "d", "e"]
    labels = ["glad"] * 7 + ["angry"]
    found = looked_at(spec, corrected(spec, notes, labels))
    assert set(missed(found)) == {
        "expect_column_values_to_be_unique",
        "expect_column_value_lengths_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_kl_divergence_to_be_less_than",
    }
    (outside,) = [
        one["result"]["partial_unexpected_list"]
        for one in found["results"]
        if one["words"].startswith("label values must belong") and not one["success"]
    ]
    assert outside == ["angry"]


def test_an_empty_table_is_no_crash(spec):
    found = looked_at(spec, corrected(spec, []))
    assert "expect_table_row_count_to_be_between" in missed(found)
    assert not any(one["exception"] for one in found["results"])


def test_numbers_and_lists_keep_their_types():
    frame = pl.DataFrame(
        {"n": [1, None], "m": [1, 2], "x": [0.5, None], "l": [["a"], []], "t": ["a", None]},
        schema={"n": pl.Int64, "m": pl.Int64, "x": pl.Float64, "l": pl.List(pl.String),
                "t": pl.String},
    )  # fmt: skip
    made = expectations.pandas(frame)
    assert [str(kind) for kind in made.dtypes] == ["Int64", "int64", "float64", "object", "object"]
    assert made["l"].to_list() == [["a"], []] and made["t"].to_list() == ["a", None]


def test_hostile_rows_stand_on_the_page_as_text(spec, tmp_path):
    table = corrected(spec, [HOSTILE] * 8, [HOSTILE] * 8)
    found = looked_at(spec, table)
    json.dumps(found, allow_nan=False)
    place = LocalStorage(str(tmp_path / "data"))
    address = expectations.write(place, spec, steps.STEPS, found)
    assert address.endswith("expectations/mood/index.html")
    page = (tmp_path / "data/expectations/mood/index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "://" not in page and "\x00" not in page and "\u202e" not in page
    assert len(page) < 60_000
    # A second table joins the first on the same page.
    labels = steps.frame([], steps.schema("labels", spec.field_types))
    expectations.write(place, spec, steps.STEPS, looked_at(spec, labels, "labels"))
    both = (tmp_path / "data/expectations/mood/index.html").read_text()
    assert both.index('id="labels"') < both.index('id="corrected_set"')


def test_a_table_is_validated_again_only_if_something_changed(spec, tmp_path, monkeypatch):
    place = LocalStorage(str(tmp_path / "data"))
    validated, validate = [], expectations.validate

    def counted(step, spec, table, suite):
        validated.append(table.height)
        return validate(step, spec, table, suite)

    monkeypatch.setattr(expectations, "validate", counted)

    def look(table):
        suite = suites.build("corrected_set", spec, table, {})
        expectations.update(place, "corrected_set", spec, Stored(table), suite, steps.STEPS)

    eight = corrected(spec, ["a"] * 8)
    look(eight)
    look(eight)
    assert validated == [8]
    look(corrected(spec, ["a"] * 7))
    look(eight)
    assert validated == [8, 7, 8]
    spec.expectations["corrected_set"] = [
        Expectation(type="expect_column_to_exist", kwargs={"column": "note"})
    ]
    look(eight)
    assert validated == [8, 7, 8, 8]
    place.write("expectations/mood/corrected_set.json", b"{")
    look(eight)
    assert validated == [8, 7, 8, 8, 8]


OWN = """\
expectations:
  corrected_set:
    - type: expect_column_proportion_of_unique_values_to_be_between
      kwargs: {column: note, %s}
      severity: warn
"""


def test_the_tasks_own_expectations_count(tmp_path):
    spec = spec_of(tmp_path, MOOD + OWN % "min_value: 0.9")
    found = looked_at(spec, corrected(spec, ["a"] * 8))
    last = found["results"][-1]
    assert not last["success"] and last["expectation_config"]["severity"] == "warning"
    assert last["result"]["observed_value"] == 0.125


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ("minimum: 0.9", "expectations.corrected_set.0.kwargs.minimum: unknown argument"),
        ("min_value: many", "expectations.corrected_set.0.kwargs.min_value: value is not a valid"),
    ],
)
def test_wrong_arguments_name_file_and_line(tmp_path, kwargs, said):
    spec = spec_of(tmp_path, MOOD + OWN % kwargs)
    found = expectations.problems(spec, YamlFile(spec.source))
    assert any(f"mood.yaml:27: {said}" in text for text in found), found
    with pytest.raises(SpecError, match="mood.yaml:27"):
        looked_at(spec, corrected(spec, ["a"] * 8))


def test_a_missing_argument_and_an_own_mistake_inside_the_library(spec):
    bare = spec.model_copy(
        update={"expectations": {"labels": [Expectation(type="expect_column_values_to_be_unique")]}}
    )
    (text,) = expectations.problems(bare, YamlFile(spec.source))
    assert text.endswith("kwargs.column: missing argument")
