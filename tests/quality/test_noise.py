import numpy as np
import polars as pl
import pytest

from targen.quality import noise
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def simulated(seed, rows, labels, errors=(0.1, 0.05, 0.05)):
    """Independent readings with known truth; rows without a majority are not kept."""
    random = np.random.default_rng(seed)
    names = [f"label {i}" for i in range(labels)]
    truth = random.integers(0, labels, rows)
    given = [
        np.where(
            random.random(rows) < p, (truth + random.integers(1, labels, rows)) % labels, truth
        )
        for p in errors
    ]
    final = []
    for votes in zip(*given, strict=True):
        most = [v for v in votes if votes.count(v) >= 2]
        final.append(names[most[0]] if most else None)
    wrong = [f != names[t] for f, t in zip(final, truth, strict=True) if f is not None]
    frame = pl.DataFrame(
        {
            name: [names[i] for i in column]
            for name, column in zip(noise.READINGS, given, strict=True)
        }
        | {"final": final}
    )
    return frame, names, float(np.mean(wrong))


@pytest.mark.parametrize(("labels", "seeds", "needed"), [(2, 20, 18), (3, 8, 7)])
def test_the_interval_covers_the_truth_and_is_narrow(labels, seeds, needed):
    covered = 0
    for seed in range(seeds):
        frame, names, truth = simulated(seed, 500, labels)
        left = noise.estimate(frame, names).left
        covered += left.low <= truth + 1e-12 and truth - 1e-12 <= left.high
        assert (left.high - left.low) / 2 <= 0.04
    assert covered >= needed


def test_readings_are_as_often_right_as_they_were_made():
    frame, names, _ = simulated(4, 4000, 2, (0.2, 0.08, 0.03))
    accuracy = noise.estimate(frame, names).accuracy
    for name, error in zip(noise.READINGS, (0.2, 0.08, 0.03), strict=True):
        assert accuracy[name].low <= 1 - error <= accuracy[name].high


def test_the_fit_equals_the_published_updates_written_as_loops():
    frame, names, _ = simulated(1, 200, 2)
    data = [[names.index(x) for x in row[:3]] for row in frame.iter_rows()]
    belief = [[row.count(t) / 3 for t in range(2)] for row in data]
    for _ in range(noise.ROUNDS):
        prior = [sum(b[t] for b in belief) + 0.5 for t in range(2)]
        prior = [p / sum(prior) for p in prior]
        table = [
            [
                [
                    sum(b[t] for b, row in zip(belief, data, strict=True) if row[r] == g)
                    + (1.5 if t == g else 0.5)
                    for g in range(2)
                ]
                for t in range(2)
            ]
            for r in range(3)
        ]
        table = [[[x / sum(line) for x in line] for line in one] for one in table]
        belief = []
        for row in data:
            joint = [
                prior[t] * table[0][t][row[0]] * table[1][t][row[1]] * table[2][t][row[2]]
                for t in range(2)
            ]
            belief.append([j / sum(joint) for j in joint])
    patterns, counts = np.unique(data, axis=0, return_counts=True)
    prior2, table2, _ = noise.dawid_skene(patterns, counts.astype(float), 2)
    assert prior2.tolist() == pytest.approx(prior, abs=1e-6)
    assert table2.ravel().tolist() == pytest.approx(np.ravel(table).tolist(), abs=1e-6)


def test_review_by_people_counts_by_weight():
    reviewed = pl.DataFrame(
        {
            "right": [False, True, True, True],
            "weight": [1.0, 1.0, 8.0, 8.0],
            "instance_id": list("abcd"),
        }
    )
    share = noise.reviewed_share(reviewed)
    assert share.value == pytest.approx(1 / 18)
    assert share.low < share.value < share.high
    even = noise.reviewed_share(reviewed.with_columns(weight=pl.lit(2.0)))
    assert even.value == 0.25


def test_planted_errors_give_detection_and_false_alarms():
    given = inputs(60)
    planted = pl.DataFrame(
        {"planted_label": ["a", "a", "b", "b"], "corrected_label": ["b", "a", "a", "a"]}
    )
    sheet = MetricCollector()
    noise.measure(inputs(60, planted_errors=planted, corrector_blind=False), sheet)
    assert sheet.get("detection", "planted errors").value == 0.75
    seen = [*given.rows.to_dicts(), *given.rejected["corrected_set"].to_dicts()]
    agreed = [r for r in seen if r["intended_label"] == r["annotated_label"]]
    wanted = sum(r["corrected_label"] != r["intended_label"] for r in agreed) / len(agreed)
    assert sheet.get("false_alarm").value == pytest.approx(wanted)
    assert "shown" in sheet.skipped["label_noise"]


def test_twins_are_read_as_one_row_with_five_readings():
    given = inputs(60)
    ids = [*given.rows["instance_id"], *given.rejected["corrected_set"]["item_id"]]
    slots = pl.DataFrame({"instance_id": ids, "slot": [i // 2 for i in range(len(ids))]})
    tables = {**given.tables, "instances": slots}
    found = noise.readings_of(inputs(60, tables=tables, pair_field="pair_id"))
    assert found.height == len(ids) // 2
    assert found.columns == [
        "intended", "annotated", "corrected", "final", "annotated, twin", "corrected, twin"
    ]  # fmt: skip
    rows = given.rows.to_dicts()
    assert found["annotated"][0] == rows[0]["annotated_label"]
    assert found["annotated, twin"][0] == rows[1]["annotated_label"]
    assert set(noise.estimate(found, list(given.labels)).accuracy) == set(noise.READINGS)


def test_skipped_with_a_reason():
    for change in ({"corrector_blind": False}, {"answer_kind": "span"}, {}):
        given = inputs(20 if not change else 60, **change)
        if not change:
            given = inputs(10)
        sheet = MetricCollector()
        noise.measure(given, sheet)
        assert sheet.get("label_noise", "latent classes") is None
        assert len(sheet.skipped["label_noise"]) > 10


def test_shared_errors_are_missed_as_the_assumption_says():
    frame, names, _ = simulated(2, 500, 2, (0.05, 0.05, 0.05))
    frame = frame.with_columns(annotated=pl.col("corrected"), final=pl.col("corrected"))
    assert noise.estimate(frame, names).left.value < 0.05
    assert "independent" in noise.ASSUMPTION


def test_the_report_has_it():
    sheet = MetricCollector()
    noise.measure(inputs(200), sheet)
    figure = sheet.get("label_noise", "latent classes")
    assert figure.low <= figure.value <= figure.high < 0.1
    assert {m.slice for m in sheet.measures if m.metric == "reading_accuracy"} == set(
        noise.READINGS
    )


def test_readings_that_are_none_of_the_labels_do_not_count():
    given = inputs(100)
    rows = given.rows.with_columns(annotated_label=pl.lit("perhaps"))
    sheet = MetricCollector()
    noise.measure(inputs(100, tables={"corrected_set": rows}, rejected={}), sheet)
    assert sheet.skipped["label_noise"] == "fewer than 30 rows have all three readings"
