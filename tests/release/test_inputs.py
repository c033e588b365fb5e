"""What is refused before anything is written: failed gates, parts that do not fit together."""

import json
from typing import Any

import polars as pl
import pytest

from targen.errors import ReleaseError, TableError
from targen.tables.files import Stored, Tables
from targen.tasks.sections import Gate
from tests.release.conftest import Made


def rewrite(made: Made, *, passed: dict[str, bool] | None = None, **said: Any) -> None:
    """Store the report anew with other words in its JSON and its column `passed`."""
    tables = Tables(made.place)
    stored = tables.read("quality_report", made.spec.name)
    page = tables.read_json("quality_report", made.spec.name) or {}
    table = stored.table.with_columns(
        passed=pl.col("metric").replace_strict(passed or {}, default=None, return_dtype=pl.Boolean)
    )
    pages = {"json": json.dumps({**page, **said})}
    tables.write(
        "quality_report",
        made.spec.name,
        Stored(table, step_digest=stored.step_digest, pages=pages),
    )


def gate(metric: str, passed: bool | None, severity: str = "error") -> dict[str, Any]:
    return {
        "metric": metric, "slice": "all", "slices": {"all": passed is True}, "severity": severity,
        "passed": passed, "text": f"{metric}: 5; wanted at most 4.",
    }  # fmt: skip


@pytest.mark.parametrize("passed", [False, None])
def test_a_gate_that_is_not_passed_is_named(rte: Made, passed: bool | None) -> None:
    rewrite(rte, gates=[gate("kappa", True), gate("rows", passed)], passed={"rows": False})
    with pytest.raises(
        ReleaseError, match=r"^rte is not released: gate rows: rows: 5; wanted at most 4\. Fix"
    ):
        rte.gathered()


def test_a_warning_is_no_obstacle(rte: Made) -> None:
    gates = [gate("rows", False, "warn"), gate("rows", True)]
    rewrite(rte, gates=gates, passed={"rows": False})
    assert rte.gathered().spec.name == "rte"


def test_a_gate_that_the_page_does_not_tell_of_counts_as_an_error(rte: Made) -> None:
    rewrite(rte, gates=[], passed={"kappa": False})
    with pytest.raises(ReleaseError, match="gate kappa .*: it is not passed"):
        rte.gathered()


def test_a_warning_does_not_hide_an_error_on_the_same_figure(rte: Made) -> None:
    rewrite(rte, gates=[gate("rows", False, "warn"), gate("rows", False)], passed={"rows": False})
    with pytest.raises(ReleaseError, match="gate rows"):
        rte.gathered()


def test_a_report_on_other_rows_is_refused(rte: Made) -> None:
    tables = Tables(rte.place)
    stored = tables.read("corrected_set", "rte")
    fewer = Stored(stored.table[:-1], stored.rejected, stored.asked, stored.step_digest)
    tables.write("corrected_set", "rte", fewer)
    with pytest.raises(
        ReleaseError, match=r"from other tables \(corrected_set\) than the current ones"
    ):
        rte.gathered()


def test_tables_that_do_not_descend_from_each_other_are_refused(rte: Made) -> None:
    tables = Tables(rte.place)
    stored = tables.read("seeds", "rte")
    other = stored.table.with_columns(seed_id=pl.lit("x") + pl.col("seed_id"))
    tables.write("seeds", "rte", Stored(other, stored.rejected, stored.asked, stored.step_digest))
    with pytest.raises(
        ReleaseError, match=r"its instances do not match .*seed_id refers to missing rows"
    ):
        rte.gathered()


def test_a_report_that_does_not_say_on_what_it_is_is_refused(rte: Made) -> None:
    rewrite(rte, made_from={})
    with pytest.raises(ReleaseError, match="Materialize quality_report again"):
        rte.gathered()


def test_a_task_that_was_changed_since_is_refused(rte: Made) -> None:
    other = rte.spec.model_copy(update={"edition": 1})
    with pytest.raises(ReleaseError, match="its vocabularies were made before the task"):
        rte.gathered(other)
    gated = rte.spec.model_copy(update={"gates": [Gate(metric="rows", at_least=1)]})
    with pytest.raises(ReleaseError, match="made for another version of the task"):
        rte.gathered(gated)


def test_a_missing_report_says_what_to_do(rte: Made) -> None:
    (rte.folder / "quality_report/rte.json").unlink()
    with pytest.raises(TableError, match="Materialize quality_report of rte"):
        rte.gathered()
