"""Column schema and lineage: they speak of columns that exist."""

import pytest

from assets.columns import fixed_schema, lineage, table_schema
from targen import steps

FIELDS = {"premise": "text", "hypothesis": "text"}


@pytest.mark.parametrize("step", steps.STEPS)
def test_every_fixed_column_is_described(step: str) -> None:
    shown = fixed_schema(step)
    assert [column.name for column in shown.columns] == list(steps.schema(step, {}))
    undescribed = [c.name for c in shown.columns if not c.description]
    assert undescribed == []


@pytest.mark.parametrize("step", steps.STEPS)
def test_lineage_names_columns_that_exist(step: str) -> None:
    found = lineage(step, FIELDS).deps_by_column
    assert set(found) <= set(steps.schema(step, FIELDS))
    for sources in found.values():
        assert sources
        for source in sources:
            above = source.asset_key.path[-1]
            assert steps.STEPS.index(above) < steps.STEPS.index(step)
            assert source.column_name in steps.schema(above, FIELDS)


def test_a_field_comes_from_the_field_of_its_name() -> None:
    found = lineage("corrected_set", FIELDS).deps_by_column
    assert [source.column_name for source in found["premise"]] == ["premise"]
    assert {s.column_name for s in found["label"]} == {*FIELDS, "intended_label", "label"}


def test_a_field_is_described_by_its_task() -> None:
    columns = steps.schema("instances", FIELDS)
    shown = table_schema("instances", columns, {"premise": "what is given", "slot": "not this"})
    described = {column.name: column.description for column in shown.columns}
    assert described["premise"] == "what is given"
    assert described["hypothesis"] is None
    assert described["slot"].startswith("Place in the plan")
