"""Gates: what they look at, what passes, and what is said of it."""

import pytest

from targen.quality import gates, report, verdict
from targen.quality.collector import Measure, MetricCollector
from targen.quality.metrics import METRICS
from targen.tasks.sections import Gate
from tests.support.report_inputs import inputs


def sheet_of(*measures, **skipped):
    sheet = MetricCollector(skipped=dict(skipped))
    sheet.add(*measures)
    return sheet


def judged(sheet, **gate):
    (found,) = gates.judge([Gate(**gate)], sheet)
    return found


def test_bounds_are_inclusive():
    sheet = sheet_of(Measure("kappa", 0.7, 10))
    assert judged(sheet, metric="kappa", at_least=0.7, at_most=0.7)["passed"] is True
    assert judged(sheet, metric="kappa", at_least=0.70001)["passed"] is False
    assert judged(sheet, metric="kappa", at_most=0.69999)["passed"] is False


def test_without_a_slice_the_whole_counts_else_review_else_every_slice():
    whole = sheet_of(Measure("calls", 5, 5, "labels"), Measure("calls", 9, 9))
    assert judged(whole, metric="calls", at_most=8)["slice"] == "all"
    noise = sheet_of(
        Measure("label_noise", 0.02, 500, "latent classes"),
        Measure("label_noise", 0.2, 90, "reviewed"),
    )
    assert judged(noise, metric="label_noise", at_most=0.1)["passed"] is False
    latent = judged(noise, metric="label_noise", slice="latent classes", at_most=0.1)
    assert latent["value"] == 0.02
    each = sheet_of(
        Measure("shortcut", 0.02, 9, "premise only"), Measure("shortcut", 0.3, 9, "length only")
    )
    found = judged(each, metric="shortcut", at_most=0.1)
    assert (found["passed"], found["slice"], found["value"]) == (False, "length only", 0.3)
    assert found["slices"] == {"premise only": True, "length only": False}


def test_what_was_not_measured_has_not_passed_and_says_why():
    sheet = sheet_of(
        Measure("cost_usd", None, 3),
        Measure("acceptance", 0.9, 9, "instances"),
        label_noise="fewer than 30 rows have all three readings",
    )
    noise = judged(sheet, metric="label_noise", at_most=0.1)
    assert noise["passed"] is None
    assert noise["text"] == (
        "Estimated label errors: not measured (fewer than 30 rows have all three "
        "readings); required: at most 10%."
    )
    assert judged(sheet, metric="cost_usd", at_most=5)["why"] == "its value is unknown"
    slice_ = judged(sheet, metric="acceptance", slice="instnces", at_least=0.5)
    assert slice_["passed"] is None
    assert "no slice 'instnces'; did you mean 'instances'?" in slice_["text"]
    assert "no such figure" in judged(sheet, metric="vendi_score", at_least=2)["why"]


def test_one_unknown_slice_is_enough_to_not_pass():
    sheet = sheet_of(Measure("kappa", 0.9, 9, "a"), Measure("kappa", None, 9, "b"))
    assert judged(sheet, metric="kappa", at_least=0.5)["passed"] is None
    assert judged(sheet, metric="kappa", at_least=0.95)["passed"] is False


@pytest.mark.parametrize(
    ("measure", "gate", "text"),
    [
        (
            Measure("label_noise", 0.1004, 500, "latent classes"),
            {"at_most": 0.1},
            "Estimated label errors (latent classes): 10.04%; required: at most 10%.",
        ),
        (
            Measure("kappa", 0.5, 9),
            {"at_least": 0.6, "at_most": 0.9, "severity": "warn"},
            "Cohen’s kappa of intended and annotated label: 0.5; required: at least 0.6 and "
            "at most 0.9 (warning only).",
        ),
        (Measure("rows", 12000, 12000), {"at_least": 12000},
         "Rows: 12,000; required: at least 12,000."),
    ],
)  # fmt: skip
def test_a_gate_in_words(measure, gate, text):
    assert judged(sheet_of(measure), metric=measure.metric, **gate)["text"] == text


def test_the_table_says_per_slice_what_passed():
    wanted = (
        Gate(metric="words", at_least=10),
        Gate(metric="rows", at_least=1),
        Gate(metric="rows", at_most=5, severity="warn"),
        Gate(metric="gender_parity", at_least=0.9),
    )
    table = report.build(inputs(25, gates=wanted)).table
    passed = {(row["metric"], row["slice"]): row["passed"] for row in table.to_dicts()}
    assert passed["words", "premise"] is True
    assert passed["words", "hypothesis"] is False
    assert passed["rows", "all"] is False
    assert passed["gender_parity", "all"] is False
    assert passed["tokens_per_row", "all"] is None
    assert table.select("metric", "slice").is_unique().all()


@pytest.mark.parametrize(
    ("states", "level", "text"),
    [
        ([(True, "error")], "good", "The gate passed."),
        ([(True, "error"), (True, "warn")], "good", "All 2 gates passed."),
        ([(False, "warn"), (True, "error")], "note", "1 of 2 gates not passed: warning only."),
        (
            [(None, "error"), (False, "warn")],
            "bad",
            "2 of 2 gates not passed, 1 of them not measured: not fit for release.",
        ),
    ],
)
def test_the_headline(states, level, text):
    found = [{"passed": passed, "severity": severity} for passed, severity in states]
    assert verdict.headline(found, []) == {"level": level, "text": text, "short": text}


def test_gates_that_pass_do_not_hide_a_warning():
    passed = [{"passed": True, "severity": "error"}]
    warned = [{"level": "warn", "text": "x", "at": "yield"}]
    assert verdict.headline(passed, warned) == {
        "level": "note",
        "text": "Check before release. x",
        "short": "Check before release: 1 warning.",
    }


def test_every_figure_of_the_report_can_have_a_gate():
    reference = inputs(80).rows
    made = report.build(inputs(100, reference=reference))
    unknown = {row["metric"] for row in made.json["figures"]} - METRICS.keys()
    assert not unknown, "enter new metrics in targen/quality/metrics.py"
    shares = [row for row in made.json["figures"] if METRICS[row["metric"]].share]
    assert all(0 <= row["value"] <= 1 for row in shares if row["value"] is not None)


NOISE = Measure("label_noise", 0.02, 500, "latent classes", 0.005, 0.28)


def noise_sheet(*others, different=False):
    sheet = sheet_of(NOISE, *others)
    sheet.details["noise"] = {"different_readers": different}
    return sheet


def test_readings_of_one_model_do_not_pass_a_gate_that_blocks():
    found = judged(noise_sheet(), metric="label_noise", at_most=0.1)
    assert found["passed"] is None and found["undecided"]
    assert found["slices"] == {"latent classes": False}
    assert found["text"] == (
        "Estimated label errors (latent classes): 2%, but not decided, because the annotator and "
        "the corrector are not known to be different models. If they share errors, up to 28% may "
        "be wrong. Review rows with `targen review export`, or give the steps `labels` and "
        "`correction` different models; required: at most 10%."
    )
    assert judged(noise_sheet(different=True), metric="label_noise", at_most=0.1)["passed"]
    # A lower bound is enough to fail.
    assert judged(noise_sheet(), metric="label_noise", at_most=0.01)["passed"] is False


def test_a_gate_that_warns_takes_the_estimate_and_names_its_condition():
    found = judged(noise_sheet(), metric="label_noise", at_most=0.1, severity="warn")
    assert found["passed"] is True
    assert "2% if the readings err independently" in found["text"]


@pytest.mark.parametrize("slice_", [None, "latent classes"])
def test_a_review_decides_only_with_enough_rows(slice_):
    few = noise_sheet(Measure("label_noise", 0.0, 5, "reviewed", 0.0, 0.43))
    found = judged(few, metric="label_noise", at_most=0.1, slice=slice_)
    assert found["passed"] is None
    assert "the reviewed rows (5) allow up to 43%: review more rows" in found["text"]
    many = noise_sheet(Measure("label_noise", 0.02, 100, "reviewed", 0.01, 0.07))
    assert judged(many, metric="label_noise", at_most=0.1, slice=slice_)["passed"] is True
    bad = noise_sheet(Measure("label_noise", 0.2, 100, "reviewed", 0.14, 0.28))
    assert judged(bad, metric="label_noise", at_most=0.1)["passed"] is False
    assert judged(bad, metric="label_noise", at_most=0.1, slice="latent classes")["passed"] is None


def test_the_headline_counts_what_is_not_decided():
    gates_ = [judged(noise_sheet(), metric="label_noise", at_most=0.1)]
    text = verdict.headline(gates_, [])["text"]
    assert text == "1 of 1 gate not passed, 1 of them not decided: not fit for release."
