"""Methods side by side: what is taken from the reports, and what is said of the differences."""

import json

import numpy as np
import polars as pl
import pytest

from targen.quality import metrics
from targen.quality.comparison import Method, compare, groups
from targen.quality.inputs import Embedded
from targen.quality.report import build
from tests.support.report_inputs import inputs


def figure(metric, value, slice_="all", low=None, high=None, n=100):
    return {"metric": metric, "slice": slice_, "value": value, "low": low, "high": high, "n": n}


def report(*figures, rows=100, models=("m",), skipped=None, simulated=False):
    return {
        "rows": rows,
        "rows_asked": rows,
        "models": list(models),
        "simulated": simulated,
        "figures": list(figures),
        "skipped": skipped or {},
    }


def method(task, made, extends="rte", recipe=None):
    return Method(task, extends, task.title(), recipe or task, (recipe or task).title(), made)


def pair(first, second):
    return compare([method("rte", first, None), method("other", second)])


def line(comparison, number=0):
    return comparison.json["groups"][0]["methods"][number]


def test_groups_follow_extends_to_its_end_and_leave_out_who_stands_alone():
    extends = {"b": None, "b-z": "b", "b-a": "b", "b-a-x": "b-a", "alone": None}
    assert groups(extends) == {"b": ["b", "b-a", "b-a-x", "b-z"]}


def test_a_row_per_task_made_or_not_and_the_table_has_its_schema():
    found = pair(report(figure("calls", 250)), None)
    columns_ = {column.name: column.dtype for column in metrics.comparison_columns()}
    assert dict(found.table.schema) == columns_
    assert found.table.select("base", "task", "made", "rows", "calls_per_row").rows() == [
        ("rte", "rte", True, 100, 2.5),
        ("rte", "other", False, None, None),
    ]
    assert "Not materialized yet: other." in found.json["groups"][0]["cautions"]


def test_yield_counts_what_was_lost_on_the_way_but_no_surplus():
    lost = [
        figure("rejected", 10, "instances, malformed"),
        figure("rejected", 15, "corrected_set, dropped"),
        figure("rejected", 40, "corrected_set, surplus"),
        figure("rejected", 7, "seeds, malformed"),
    ]
    found = line(pair(report(*lost), report()))["figures"]["yield"]
    assert (found["value"], found["n"]) == (0.8, 125)
    # Wilson's interval for 100 of 125, from its formula by hand.
    assert (found["low"], found["high"]) == pytest.approx((0.72139, 0.86068), abs=1e-4)


def test_distinct_n_is_taken_at_the_largest_word_count_that_all_have():
    short = report(figure("distinct_2", 0.9, "1000 words"), figure("distinct_2", 0.8, "2000 words"))
    long = report(*(figure("distinct_2", v, f"{w} words") for v, w in ((0.7, 2000), (0.6, 5000))))
    found = pair(short, long).table
    assert found["distinct_2"].to_list() == [0.8, 0.7]
    assert found["words"].to_list() == [2000, 2000]
    other = report(figure("distinct_2", 0.5, "321 words"))
    assert pair(short, other).table["distinct_2"].to_list() == [None, None]


def test_the_most_telling_part_and_peoples_review_count():
    made = report(
        figure("shortcut", 0.05, "length only"),
        figure("shortcut", 0.2, "hypothesis only"),
        figure("label_noise", 0.1, "latent classes"),
        figure("label_noise", 0.04, "reviewed"),
        figure("utility", 0.9, "gold to gold"),
        figure("utility", 0.7, "set to gold"),
    )
    found = pair(made, report()).table
    row = found.row(0, named=True)
    assert (row["shortcut"], row["shortcut_part"]) == (0.2, "hypothesis only")
    assert (row["label_noise"], row["utility"]) == (0.04, 0.7)


def test_tokens_and_cost_are_those_of_all_steps():
    figures = [
        figure(name, value, slice_)
        for name in ("tokens_per_row", "cost_per_row_usd")
        for slice_, value in (("contexts", 8.0), ("labels", 350.0), ("all", 1062.0))
    ]
    made = line(pair(report(*figures), None))["figures"]
    assert made["tokens_per_row"]["value"] == made["cost_per_row_usd"]["value"] == 1062.0


def test_an_unknown_price_is_no_figure_and_has_a_reason():
    made = report(figure("cost_per_row_usd", None), skipped={"label_noise": "nobody read them"})
    absent = line(pair(made, report()))["absent"]
    assert absent["cost_per_row_usd"] == "the price of a call is unknown"
    assert absent["label_noise"] == "nobody read them"
    assert set(absent) | set(line(pair(made, report()))["figures"]) == {
        column.name for _, column in metrics.compared()
    }


def differences(first, second):
    return pair(report(*first), report(*second)).json["groups"][0]["differences"]


def test_only_what_can_be_told_apart_is_said():
    near = [figure("self_bleu", 0.3, low=0.2, high=0.4)], [figure("self_bleu", 0.45, low=0.35)]
    near[1][0]["high"] = 0.5
    apart = (
        [figure("self_bleu", 0.3, low=0.2, high=0.4)],
        [figure("self_bleu", 0.6, low=0.41, high=0.8)],
    )
    assert [d["metric"] for d in differences(*near)] == []
    (found,) = [d for d in differences(*apart) if d["metric"] == "self_bleu"]
    assert (found["first"]["name"], found["last"]["name"]) == ("rte", "other")
    higher = (
        [figure("utility", 0.5, "set to gold", 0.4, 0.6)],
        [figure("utility", 0.8, "set to gold", 0.7, 0.9)],
    )
    assert differences(*higher)[0]["first"]["name"] == "other"
    assert differences([figure("calls", 100)], [figure("calls", 149)]) == []
    assert len(differences([figure("calls", 100)], [figure("calls", 151)])) == 1


def test_what_else_differs_is_said():
    found = pair(report(rows=60), report(models=("n",))).json["groups"][0]["cautions"]
    assert len(found) == 2
    assert "60 to 100 rows" in found[0] and "different models" in found[1]
    assert pair(report(), report()).json["groups"][0]["cautions"] == []


def test_two_of_one_recipe_are_named_by_their_tasks():
    both = [method("rte", None, None, "targen"), method("rte-de", None, "rte", "targen")]
    names = [one["name"] for one in compare(both).json["groups"][0]["methods"]]
    assert names == ["rte", "rte-de"]


def test_a_real_report_fills_what_applies_and_gives_the_same_bytes_again():
    made = json.loads(build(inputs(60)).json_text())
    first, again = pair(made, made), pair(made, made)
    assert first.json_text() == again.json_text()
    row = first.table.row(0, named=True)
    absent = {column.name for _, column in metrics.compared() if row[column.name] is None}
    assert absent == {"similarity", "utility"}
    assert all(row[f"{name}_low"] <= row[name] for name in ("yield", "self_bleu", "shortcut"))
    assert first.table.equals(again.table)
    assert first.table.filter(pl.col("made")).height == 2


def test_other_embeddings_or_other_gold_are_said():
    one = report() | {"embedding_model": "a", "reference_name": "rte"}
    two = report() | {"embedding_model": "b", "reference_name": "far"}
    found = pair(one, two).json["groups"][0]["cautions"]
    assert found == [
        "Similarity of meaning was measured by different embedding models.",
        "Accuracy was measured on different gold rows.",
    ]
    assert pair(one, report()).json["groups"][0]["cautions"] == []


def test_similarity_and_utility_are_filled_where_they_were_measured():
    vectors = np.random.default_rng(0).normal(1, 1, size=(60, 8))
    given = inputs(60)
    made = json.loads(
        build(
            inputs(
                60,
                embeddings=Embedded(vectors, np.arange(60)),
                reference=given.rows.head(60),
            )
        ).json_text()
    )
    row = pair(made, report()).table.row(0, named=True)
    assert row["similarity_low"] < row["similarity"] < row["similarity_high"]
    assert row["utility"] is not None
    assert row["v_information"] is not None


def test_label_errors_are_compared_by_one_estimator():
    readings = figure("label_noise", 0.02, "latent classes")
    review = figure("label_noise", 0.15, "reviewed")
    both, alone = report(readings, review), report(figure("label_noise", 0.03, "latent classes"))
    found = pair(both, alone)
    assert found.table["label_noise"].to_list() == [0.02, 0.03]
    cautions = found.json["groups"][0]["cautions"]
    assert any("because people reviewed only rte" in text for text in cautions)
    reviewed = pair(both, report(figure("label_noise", 0.1, "reviewed")))
    assert reviewed.table["label_noise"].to_list() == [0.15, 0.1]
    assert not any("people reviewed" in text for text in reviewed.json["groups"][0]["cautions"])
    # A set without any estimate does not matter.
    assert pair(both, report()).table["label_noise"].to_list() == [0.15, None]
