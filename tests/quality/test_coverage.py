import polars as pl

from targen import steps
from targen.quality import coverage, gates, page, report
from targen.quality.collector import MetricCollector
from targen.tasks.sections import Gate
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


WAYS = {"entailment": ("restates", "infers"), "not_entailment": ("denies", "unrelated")}


def planned(count=40, **changes):
    """Rows whose way is a way of their intended label, in turn."""
    given = inputs(count)
    by_label = dict.fromkeys(WAYS, 0)
    ways = []
    for label in given.rows["intended_label"]:
        ways.append(WAYS[label][by_label[label] % 2])
        by_label[label] += 1
    rows = given.rows.with_columns(planned_way=pl.Series(ways))
    tables = {**given.tables, "corrected_set": rows}
    return inputs(count, tables=tables, ways=WAYS, **changes)


def covered(given):
    sheet = MetricCollector()
    coverage.measure(given, sheet)
    return sheet


def test_ways_are_counted_for_the_label_that_the_rows_have():
    given = planned()
    sheet = covered(given)
    rows = given.rows
    for label, ways in WAYS.items():
        mine = rows.filter(pl.col("label") == label)
        for way in ways:
            figure = sheet.get("way_coverage", f"{label}, {way}")
            assert figure.value == (mine["planned_way"] == way).sum() / mine.height
            assert figure.n == mine.height
    changed = rows.filter(pl.col("label") != pl.col("intended_label")).height
    assert changed > 0
    assert sum(line["rows"] for line in sheet.details["ways"]) == rows.height - changed
    shares = [line["share"] for line in sheet.details["ways"]]
    assert sheet.get("way_coverage", "thinnest").value == min(shares) > 0


def test_a_way_without_rows_is_the_thinnest():
    given = planned()
    rows = given.rows.with_columns(
        planned_way=pl.when(pl.col("planned_way") == "denies").then(None).otherwise("planned_way")
    )
    sheet = covered(inputs(40, tables={**given.tables, "corrected_set": rows}, ways=WAYS))
    assert sheet.get("way_coverage", "not_entailment, denies").value == 0
    assert sheet.get("way_coverage", "thinnest").value == 0


def test_a_gate_without_a_slice_bounds_every_way():
    sheet = covered(planned())
    (thin,) = gates.judge([Gate(metric="way_coverage", at_least=0.05)], sheet)
    assert thin["passed"] is True and len(thin["slices"]) == 5
    (wide,) = gates.judge([Gate(metric="way_coverage", at_least=0.6)], sheet)
    assert wide["passed"] is False
    one = Gate(metric="way_coverage", slice="entailment, infers", at_least=0.05)
    assert gates.judge([one], sheet)[0]["passed"] is True


def test_without_ways_there_is_no_figure():
    assert "way_coverage" in covered(inputs(20)).skipped
    assert "planned_difficulty" in covered(inputs(20)).skipped


def test_ways_that_belong_to_no_label_are_shares_of_all_rows():
    given = planned(answer_kind="span")
    given = inputs(40, tables=given.tables, answer_kind="span", ways={"": ("restates", "other")})
    sheet = covered(given)
    share = (given.rows["planned_way"] == "restates").sum() / 40
    assert sheet.get("way_coverage", "restates").value == share
    assert sheet.get("way_coverage", "other").value == 0


def test_rows_by_planned_difficulty():
    given = planned()
    levels = pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("hard")).otherwise(pl.lit("easy"))
    rows = given.rows.with_columns(planned_difficulty=levels)
    sheet = covered(inputs(40, tables={**given.tables, "corrected_set": rows}))
    figures = {m.slice: m.value for m in sheet.measures if m.metric == "planned_difficulty"}
    assert figures == {"easy": 0.75, "hard": 0.25}


def test_the_page_shows_ways_without_attributes():
    html = page.render(report.build(planned()))
    assert "Rows by planned way" in html and "unrelated" in html
