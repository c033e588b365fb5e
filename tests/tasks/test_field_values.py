"""Types, bounds and samplers of fields."""

from collections import Counter
from datetime import date
from random import Random

import polars as pl
import pytest

from targen.errors import SpecError
from targen.hashing import canonical
from targen.operators.plan import Plan
from targen.operators.requests import task_block
from targen.prompts.render import field_schema
from targen.release.card import features
from targen.release.rows import json_lines, separated
from targen.steps import INSTANCES, frame, schema
from targen.tasks.field_values import drawn, typed
from targen.tasks.sections import TaskField
from tests.support.specs import MOOD, spec_of

NOTE = "  note: {description: the note}\n"
SAMPLED = """\
  note: {description: the note}
  age: {type: integer, at_least: 18, at_most: 90, sampler: {distribution: normal, mean: 40, sd: 30}}
  price: {type: float, at_least: 1, at_most: 2, sampler: {decimals: 3}}
  day: {type: date, at_least: 2024-02-27, at_most: 2024-03-01, sampler: uniform}
  member: {type: boolean, sampler: {weights: {"true": 9, "false": 1}}}
  tier: {type: choice, values: [free, pro, team], sampler: {weights: {free: 3, pro: 1}}}
  score: {description: from the model, type: float, at_least: 0, at_most: 1}
"""


def one(**keys):
    return TaskField.model_validate(keys)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ({"type": "integer"}, "12", "must be an integer, found '12'"),
        ({"type": "integer"}, True, "must be an integer, found True"),
        ({"type": "integer", "at_most": 5}, 6, "must be at most 5, found 6"),
        # A column has 64 bits.
        ({"type": "integer"}, 2**63, f"must be an integer of at most 64 bits, found {2**63}"),
        (
            {"type": "integer"},
            -(2**63) - 1,
            f"must be an integer of at most 64 bits, found {-(2**63) - 1}",
        ),
        ({"type": "float"}, 10**400, f"must be a number, found 1{'0' * 59}"),
        ({"type": "float"}, float("nan"), "must be a number, found nan"),
        ({"type": "float", "at_least": 0.5}, 0.25, "must be at least 0.5, found 0.25"),
        ({"type": "boolean"}, 1, "must be true or false, found 1"),
        ({"type": "date"}, "20240101", "must be a date in the form YYYY-MM-DD, found '20240101'"),
        (
            {"type": "date"},
            "2024-02-30",
            "must be a date in the form YYYY-MM-DD, found '2024-02-30'",
        ),
        (
            {"type": "date", "at_most": "2024-01-01"},
            "2024-01-02",
            "must be at most 2024-01-01, found 2024-01-02",
        ),
        ({"type": "choice", "values": ["a", "b"]}, "c", "must be one of a, b, found 'c'"),
        ({"type": "texts", "at_least": 2}, ["a"], "must be at least 2 texts, found 1"),
    ],
)
def test_values_that_do_not_fit_are_named(field, value, problem):
    assert typed(value, one(**field))[1] == problem


def test_values_that_fit_get_the_type_of_their_column():
    assert typed("2024-02-29", one(type="date")) == (date(2024, 2, 29), None)
    value, problem = typed(3, one(type="float"))
    assert (type(value), value, problem) == (float, 3.0, None)
    # A date has the same id before and after it is stored.
    assert canonical({"day": date(2024, 2, 29)}) == canonical({"day": "2024-02-29"})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("{type: float, at_least: x}", "fields.a.at_least: expected a number, found 'x'"),
        (
            "{type: date, at_least: 2024-01-01, at_most: 2023-01-01}",
            "fields.a.at_least: it is greater than `at_most`",
        ),
        ("{type: integer, at_least: 1.5}", "fields.a.at_least: expected an integer, found 1.5"),
        ("{at_most: 3}", "fields.a.at_most: only integer, float, date, texts have bounds"),
        ("{type: float, at_least: [1]}", "expected a number or a date, found [1]"),
        ("{type: date, max_words: 4}", "a field of type date has no `max_words`"),
        ("{type: date, at_least: 2024-13-01}", "cannot be read as YAML: month must be in 1..12"),
        ("{type: list}", "'list' is not valid here; valid: boolean, choice, date"),
        (
            "{type: date, sampler: {distribution: normal}}",
            "fields.a.sampler.distribution: dates are drawn uniformly",
        ),
        (
            "{type: integer, sampler: uniform}",
            "a uniform distribution needs the field's `at_least`",
        ),
        (
            "{type: float, sampler: {distribution: normal, mean: 3}}",
            "a normal distribution needs `sd`",
        ),
        ("{sampler: uniform}", "a sampler cannot draw a field of type text"),
        (
            "{type: choice, values: [b], sampler: {weights: {c: 1}}}",
            "fields.a.sampler.weights: 'c' is not one of b",
        ),
        (
            '{type: boolean, sampler: {weights: {"true": -1}}}',
            "weights must be 0 or more, and one must be above 0",
        ),
        (
            "{type: choice, values: [b], planned: true, sampler: {weights: {b: 1}}}",
            "the plan or a validator sets this field already",
        ),
    ],
)
def test_wrong_declarations_are_named(field, message, tmp_path):
    with pytest.raises(SpecError, match=".") as error:
        spec_of(tmp_path / "tasks", MOOD.replace(NOTE, f"{NOTE}  a: {field}\n"))
    assert message in str(error.value)


def test_a_seed_cannot_set_a_date_or_a_sampled_field(tmp_path):
    with pytest.raises(SpecError, match="a seed has a field of this name"):
        spec_of(tmp_path / "a", MOOD.replace(NOTE, f"{NOTE}  event: {{type: date}}\n"))


def test_operators_that_draw_no_fields_refuse_samplers(tmp_path):
    text = MOOD.replace(NOTE, SAMPLED).replace("name: mood", "name: mood\nrecipe: label-own-data")
    text = text.partition("steps:")[0]
    with pytest.raises(SpecError, match="draws no fields: remove `sampler`"):
        spec_of(tmp_path / "tasks", f"{text}rows_file: rows.csv\n")


def test_draws_follow_weights_and_bounds_and_stay_when_a_set_grows(tmp_path):
    spec = spec_of(tmp_path / "tasks", MOOD.replace(NOTE, SAMPLED))
    plan = Plan(spec, 2)
    rows = [plan.slot(number).planned for number in range(1500)]
    assert rows[:20] == [Plan(spec, 5).slot(number).planned for number in range(20)]
    assert Counter(row["tier"] for row in rows)["free"] / 1500 == pytest.approx(0.75, abs=0.05)
    assert {row["tier"] for row in rows} == {"free", "pro"}
    assert sum(row["member"] for row in rows) / 1500 == pytest.approx(0.9, abs=0.03)
    assert Counter(row["day"] for row in rows).keys() == {
        "2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"
    }  # fmt: skip
    ages = [row["age"] for row in rows]
    assert (min(ages), max(ages)) == (18, 90)
    # Values beyond a bound become the bound: P(age <= 18) = 0.23.
    assert ages.count(18) / 1500 == pytest.approx(0.237, abs=0.04)
    assert all(1 <= row["price"] <= 2 and row["price"] == round(row["price"], 3) for row in rows)
    # A change of one field leaves the draws of the others.
    other = MOOD.replace(NOTE, SAMPLED.replace("sd: 30", "sd: 3"))
    again = Plan(spec_of(tmp_path / "other", other), 2).slot(7).planned
    assert again["age"] != rows[7]["age"]
    assert {**again, "age": 0} == {**rows[7], "age": 0}


def test_a_normal_sampler_without_bounds_has_its_mean():
    field = one(type="float", sampler={"distribution": "normal", "mean": 10, "sd": 2})
    values = [drawn(field, Random(seed)) for seed in range(2000)]
    assert sum(values) / 2000 == pytest.approx(10, abs=0.2)


def test_prompts_schemas_and_columns_have_the_types(tmp_path):
    spec = spec_of(tmp_path / "tasks", MOOD.replace(NOTE, SAMPLED))
    said = task_block(spec, spec.sampled)["fields"]
    assert said["age"] == "given"
    assert said["score"] == {
        "description": "from the model", "type": "number", "at_least": 0, "at_most": 1
    }  # fmt: skip
    assert field_schema("date", optional=True) == {"type": ["string", "null"], "format": "date"}
    dtypes = schema(INSTANCES, spec.field_types)
    wanted = [pl.Int64, pl.Float64, pl.Date, pl.Boolean, pl.String, pl.Float64]
    assert [dtypes[n] for n in ("age", "price", "day", "member", "tier", "score")] == wanted


def test_exports_have_iso_dates_and_the_types_of_hugging_face():
    rows = frame(
        [{"price": 1.5, "day": date(2024, 3, 1), "member": True, "age": 3, "tags": ["a"]}],
        {"price": pl.Float64, "day": pl.Date, "member": pl.Boolean, "age": pl.Int64,
         "tags": pl.List(pl.String)},
    )  # fmt: skip
    assert separated(rows, ",").decode().splitlines()[1] == (
        '"1.5","2024-03-01","true","3","[""a""]"'
    )
    assert b'"day": "2024-03-01", "member": true' in json_lines(rows.iter_rows(named=True))
    lines = features(None, rows)  # type: ignore[arg-type] - it reads labels of the task only
    assert [line.strip() for line in lines if "dtype" in line] == [
        "dtype: float64", "dtype: date32", "dtype: bool", "dtype: int64"
    ]  # fmt: skip
