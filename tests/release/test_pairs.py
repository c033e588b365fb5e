"""Preference pairs: each has a kept and a worse answer to one prompt, and its source."""

import json
from dataclasses import replace

import polars as pl
import pytest

from targen.errors import TableError
from targen.release.export import export, parts_of
from targen.release.pairs import LABELED, WRITTEN, Pairs
from targen.tables.files import Tables
from tests.release.conftest import Made


def with_rejected(made: Made, items: list[dict]) -> Tables:
    """Add rejected items of instances, and nothing else."""
    tables = Tables(made.place)
    stored = tables.read("instances", "rte")
    assert stored.rejected is not None
    row = dict.fromkeys(stored.rejected.columns) | {"step": "instances", "request_ids": []}
    added = pl.DataFrame([{**row, **item} for item in items], schema=stored.rejected.schema)
    tables.write("instances", "rte", replace(stored, rejected=added))
    return tables


def test_a_rejected_text_stands_against_the_text_of_its_slot(rte: Made) -> None:
    rows = Tables(rte.place).read("corrected_set", "rte").table
    first = Tables(rte.place).read("instances", "rte").table.filter(
        pl.col("instance_id") == rows["instance_id"][0]
    ).row(0, named=True)  # fmt: skip
    slot, text = first["slot"], {"premise": "A bad one.", "hypothesis": "Bad.", "slot": 1}
    tables = with_rejected(
        rte,
        [
            {"slot": slot, "reason": "echo", "text": json.dumps(text)},
            {"slot": slot, "reason": "surplus", "text": json.dumps(text)},
            {"slot": slot, "reason": "missing", "text": None},
            {"slot": slot, "reason": "invalid", "text": "no JSON"},
            {"slot": slot, "reason": "invalid", "text": '{"premise": "alone"}'},
            {"slot": 99, "reason": "echo", "text": json.dumps(text)},
        ],
    )
    found = [p for p in Pairs(rte.spec, tables).of(rows) if p["about"] == WRITTEN]
    (pair,) = found
    assert pair["why"] == "echo" and pair["instance_id"] == first["instance_id"]
    kept = f"premise: {first['premise']}\nhypothesis: {first['hypothesis']}"
    # A premise that the seed gives is part of the prompt.
    assert pair["chosen"][0]["content"] in (kept, first["hypothesis"])
    assert pair["rejected"][0]["content"] in ("premise: A bad one.\nhypothesis: Bad.", "Bad.")
    assert (
        rte.spec.labels[first["intended_label"]].constraint.split()[0]
        in (pair["prompt"][0]["content"])
    )


def test_a_final_label_stands_against_each_other_reading(rte: Made) -> None:
    tables = with_rejected(rte, [])
    rows = tables.read("corrected_set", "rte").table
    rows = rows.with_columns(
        label=pl.lit("entailment"),
        intended_label=pl.lit("not_entailment"),
        annotated_label=pl.lit("not_entailment"),
        corrected_label=pl.lit(None, pl.String),
    )
    found = list(Pairs(rte.spec, tables).of(rows))
    assert len(found) == rows.height
    for pair in found:
        assert (pair["about"], pair["why"]) == (LABELED, "intended_label")
        assert pair["chosen"][0]["content"] == "entailment"
        assert pair["rejected"][0]["content"] == "not_entailment"
        assert [message["role"] for message in pair["prompt"]] == ["system", "user"]


def test_pairs_are_in_the_split_of_their_row_and_without_any_nothing_is_written(
    rte: Made, tmp_path
) -> None:
    tables = with_rejected(rte, [])
    stored = tables.read("corrected_set", "rte")
    same = {name: pl.col("label") for name in ("intended_label", "annotated_label")}
    agreed = stored.table.with_columns(**same, corrected_label=pl.lit(None, pl.String))
    tables.write("corrected_set", "rte", replace(stored, table=agreed))
    with pytest.raises(TableError, match="have no preference pair"):
        export(rte.spec, tables, "preference", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    other = {"entailment": "not_entailment", "not_entailment": "entailment"}
    disputed = agreed.with_columns(annotated_label=pl.col("label").replace_strict(other))
    tables.write("corrected_set", "rte", replace(stored, table=disputed))
    made = export(rte.spec, tables, "preference", tmp_path / "out")
    parts = parts_of(rte.spec, tables)
    assert made.pairs and made.rows == {f"{n}.jsonl": part.height for n, part in parts.items()}
    for name, part in parts.items():
        lines = (tmp_path / "out/rte" / f"{name}.jsonl").read_text().splitlines()
        assert [json.loads(line)["instance_id"] for line in lines] == list(part["instance_id"])
