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


def sequential(frame, seed, share=0.2, doubted=0.0):
    """Remove the corrected labels that sequential judging does not ask for.

    Returns:
        The frame, and whether each row was doubted for another reason than its labels.
    """
    random = np.random.default_rng([seed, 1])
    agree = (frame["intended"] == frame["annotated"]).to_numpy()
    # Doubt is more frequent where the corrector disagrees: the case that biases.
    odd = (frame["corrected"] != frame["intended"]).to_numpy()
    doubt = random.random(len(agree)) < np.where(odd, doubted, doubted / 4)
    asked = pl.Series(~agree | doubt | (random.random(len(agree)) < share))
    corrected = pl.when(asked).then(pl.col("corrected"))
    return frame.with_columns(corrected.alias("corrected")), doubt


def test_the_interval_covers_the_truth_when_agreeing_rows_are_only_audited():
    covered, estimates, truths, full = 0, [], [], []
    for seed in range(20):
        frame, names, truth = simulated(seed, 500, 2)
        part, _ = sequential(frame, seed)
        assert 0.5 < part["corrected"].null_count() / part.height < 0.8
        left = noise.estimate(part, names).left
        covered += left.low <= truth + 1e-12 and truth - 1e-12 <= left.high
        assert (left.high - left.low) / 2 <= 0.05
        estimates.append(left.value)
        truths.append(truth)
        full.append(noise.estimate(frame, names).left.value)
    assert covered >= 18
    assert abs(np.mean(estimates) - np.mean(full)) < 0.006
    # If the rows without a correction did not count, all others would look suspicious.
    naive = [
        noise.estimate(
            sequential(simulated(s, 500, 2)[0], s)[0].drop_nulls("corrected"),
            ["label 0", "label 1"],
        )
        for s in range(3)
    ]
    assert min(one.left.value for one in naive) > 2 * np.mean(truths)


def test_a_missing_label_adds_nothing():
    """Updates of a table with missing labels, written as loops."""
    patterns = np.array([[0, 0, 0], [0, 0, -1], [1, 0, 1], [1, 1, -1]])
    prior, confusion, belief = noise.dawid_skene(patterns, np.array([5.0, 20.0, 4.0, 9.0]), 2)
    for row, found in zip(patterns, belief, strict=True):
        joint = [
            prior[t] * np.prod([confusion[r, t, g] for r, g in enumerate(row) if g >= 0])
            for t in range(2)
        ]
        assert found.tolist() == pytest.approx([j / sum(joint) for j in joint], abs=1e-5)
    assert confusion.sum(axis=2).tolist() == pytest.approx(np.ones((3, 2)))
    corrected = confusion[2, 0, 1] / confusion[2, 0, 0]
    assert corrected < 0.5


def judged(frame, doubt):
    """Return inputs whose tables hold these readings."""
    ids = [f"id {n}" for n in range(frame.height)]
    rows = frame.select(
        instance_id=pl.Series(ids),
        premise=pl.lit("p"),
        hypothesis=pl.lit("h"),
        label=pl.col("intended"),
        intended_label=pl.col("intended"),
        annotated_label=pl.col("annotated"),
        corrected_label=pl.col("corrected"),
    )
    labels = pl.DataFrame(
        {
            "instance_id": ids,
            "label": frame["annotated"],
            "votes": [[label] for label in frame["annotated"]],
            "flaws": [["ambiguous" if one else "none"] for one in doubt],
        }
    )
    tables = {"corrected_set": rows, "labels": labels}
    return inputs(60, tables=tables, rejected={}, labels=("label 0", "label 1"))


def test_rows_corrected_for_a_flaw_do_not_count_more_than_the_others():
    shares, plain = [], []
    for seed in range(6):
        frame, _, _ = simulated(seed, 2000, 2)
        part, doubt = sequential(frame, seed, doubted=0.6)
        found = noise.readings_of(judged(part, doubt))
        agree = found.filter(pl.col("intended") == pl.col("annotated")).drop_nulls("corrected")
        shares.append((agree["corrected"] != agree["intended"]).mean())
        naive = part.filter(pl.col("intended") == pl.col("annotated")).drop_nulls("corrected")
        plain.append((naive["corrected"] != naive["intended"]).mean())
    true = [
        (f["corrected"] != f["intended"]).mean()
        for f in (
            simulated(seed, 2000, 2)[0].filter(pl.col("intended") == pl.col("annotated"))
            for seed in range(6)
        )
    ]
    assert np.mean(shares) == pytest.approx(np.mean(true), abs=0.02)
    assert np.mean(plain) > np.mean(true) + 0.03


def test_an_estimate_needs_audited_rows():
    frame, _, _ = simulated(0, 500, 2)
    none, doubt = sequential(frame, 0, share=0)
    sheet = MetricCollector()
    noise.measure(judged(none, doubt), sheet)
    assert sheet.skipped["label_noise"].startswith("fewer than 10 rows with equal")


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
    found = noise.estimate(frame, names)
    assert found.left.value < 0.05 < 0.2 < found.range[1]
    assert "independent" in noise.ASSUMPTION


def test_the_report_has_it():
    sheet = MetricCollector()
    noise.measure(inputs(200), sheet)
    figure = sheet.get("label_noise", "latent classes")
    assert figure.low <= figure.value < 0.1 < figure.high < 0.4
    assert sheet.details["noise"]["interval_if_independent"][1] < 0.1
    shares = [bound["at_most"] for bound in sheet.details["noise"]["bounds"]]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(figure.high)
    assert {m.slice for m in sheet.measures if m.metric == "reading_accuracy"} == set(
        noise.READINGS
    )


def test_readings_that_are_none_of_the_labels_do_not_count():
    given = inputs(100)
    rows = given.rows.with_columns(annotated_label=pl.lit("perhaps"))
    sheet = MetricCollector()
    noise.measure(inputs(100, tables={"corrected_set": rows}, rejected={}), sheet)
    assert sheet.skipped["label_noise"] == "fewer than 30 rows have all three readings"
