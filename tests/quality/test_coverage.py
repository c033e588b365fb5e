import polars as pl

from targen import steps
from targen.quality import coverage
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def test_values_and_pairs_used_over_drawn():
    given = inputs(20)
    contexts = steps.frame(
        [
            {
                "context_id": f"c{i}",
                "text": "",
                "attributes": [{"name": "tone", "value": tone}, {"name": "place", "value": place}],
                "term_ids": [],
            }
            for i, (tone, place) in enumerate(
                [("dry", "sea"), ("dry", "town"), ("warm", "sea"), ("cold", "hill")]
            )
        ],
        steps.schema("contexts", {}),
    )
    instances = given.tables["instances"].with_columns(
        context_id=pl.when(pl.col("slot") % 2 == 0).then(pl.lit("c0")).otherwise(pl.lit("c2"))
    )
    sheet = MetricCollector()
    coverage.measure(
        inputs(20, tables={**given.tables, "contexts": contexts, "instances": instances}), sheet
    )
    assert sheet.get("coverage", "tone").value == 2 / 3
    assert sheet.get("coverage", "place").value == 1 / 3
    assert sheet.get("coverage", "tone with place").value == 2 / 4
    table = sheet.details["coverage"]
    assert (table["rows"], table["columns"]) == (["cold", "dry", "warm"], ["hill", "sea", "town"])
    counts = table["counts"]
    assert counts[0] == [0, None, None], "cold was drawn with the hill alone, and no row kept it"
    assert sum(n for line in counts for n in line if n) == 20


def test_skipped_where_nothing_is_known():
    for changes in ({}, {"tables": {"corrected_set": inputs(20).rows}}):
        sheet = MetricCollector()
        coverage.measure(inputs(20, **changes), sheet)
        assert "coverage" in sheet.skipped


def test_required_words_count_in_any_form_and_length_is_kept():
    given = inputs(20)
    rows = given.rows.with_columns(
        premise=pl.lit("The old dogs were running to the sea."), hypothesis=pl.lit("They ran.")
    )
    ids = rows["instance_id"].to_list()
    required = pl.DataFrame(
        {
            "instance_id": ids[:5],
            "words": [["Dog", "run"], ["sea"], ["cat"], [], ["dogs"]],
            "least": [None, 5, 50, None, None],
            "most": [None, 20, None, 10, None],
        }
    )
    sheet = MetricCollector()
    coverage.measure(inputs(20, tables={"corrected_set": rows}, required=required), sheet)
    words, length = sheet.get("adherence", "required words"), sheet.get("adherence", "length")
    assert (words.value, words.n) == (3 / 4, 4)
    assert (length.value, length.n) == (2 / 3, 3)


def test_a_map_of_combinations_that_never_share_a_value_is_left_out():
    given = inputs(20)
    contexts = steps.frame(
        [
            {"context_id": f"c{i}", "text": "", "term_ids": [], "attributes": [
                {"name": "noun", "value": f"n{i:02}"}, {"name": "verb", "value": f"v{39 - i:02}"},
            ]}
            for i in range(40)
        ],
        steps.schema("contexts", {}),
    )  # fmt: skip
    instances = given.tables["instances"].with_columns(
        context_id=pl.lit("c") + pl.col("slot").cast(pl.String)
    )
    sheet = MetricCollector()
    coverage.measure(
        inputs(20, tables={**given.tables, "contexts": contexts, "instances": instances}), sheet
    )
    assert sheet.get("coverage", "noun with verb").n == 40
    assert "coverage" not in sheet.details
