"""The data dictionary: true, and complete."""

import pytest

from assets import dictionary
from assets.columns import TABLES
from targen import steps
from tests.support.specs import ROOT


def test_the_page_is_what_the_tables_are() -> None:
    shown = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert shown == dictionary.render(), "write it anew with `make dictionary`"


@pytest.mark.parametrize("table", [*steps.STEPS, "comparison", "rejected", "planted"])
def test_every_column_has_a_meaning(table: str) -> None:
    assert all(column.description for column in TABLES[table])
