"""The key figures that Dagster plots."""

from targen.quality.gates import names
from targen.quality.key_figures import key_figures
from targen.tasks.sections import Gate


def figure(metric: str, value: float | None, slice_: str = "all", **bounds: float) -> dict:
    known = {"metric": metric, "slice": slice_, "value": value, "low": None, "high": None}
    return known | bounds


FIGURES = [
    figure("label_noise", 0.2, "latent classes", low=0.1, high=0.3),
    figure("flip_rate", 0.3, "intended to annotated"),
    figure("flip_rate", 0.1, "intended to final"),
    figure("kappa", 0.7, "intended, annotated"),
    figure("near_duplicates", 0.0),
    figure("self_bleu", 0.4, "60 rows"),
    figure("shortcut", 0.05, "premise only"),
    figure("shortcut", 0.25, "hypothesis only"),
    figure("tokens_per_row", 20.0, "contexts"),
    figure("tokens_per_row", 900.0),
    figure("cost_per_row_usd", None),
    figure("cost_per_row_usd", 0.1, "contexts"),
]


def report(*more: dict, gates: tuple[bool | None, ...] = ()) -> dict:
    judged = [{"passed": passed} for passed in gates]
    return {"rows": 60, "figures": [*FIGURES, *more], "gates": judged}


def test_each_figure_is_that_of_all_rows_or_of_the_right_slice() -> None:
    assert key_figures(report(gates=(True, False, None))) == {
        "rows": 60,
        "failed_gates": 2,
        "label_noise": 0.2,
        "label_noise_low": 0.1,
        "label_noise_high": 0.3,
        "changed_labels": 0.1,
        "kappa": 0.7,
        "near_duplicates": 0.0,
        "self_bleu": 0.4,
        "strongest_shortcut": 0.25,
        "tokens_per_row": 900.0,
    }


def test_a_review_takes_precedence_and_vendi_replaces_self_bleu() -> None:
    reviewed = figure("label_noise", 0.5, "reviewed", low=0.4, high=0.6)
    found = key_figures(report(reviewed, figure("vendi_score", 29.1, "60 rows")))
    assert found["label_noise"] == 0.5 and found["label_noise_high"] == 0.6
    assert found["vendi_score"] == 29.1 and "self_bleu" not in found


def test_a_report_without_figures_has_rows_and_gates_only() -> None:
    assert key_figures({"rows": 3, "figures": []}) == {"rows": 3, "failed_gates": 0}


def test_gates_have_names_that_dagster_accepts() -> None:
    slices = (None, "hypothesis only", "a" * 60, "a" * 61, "小", "大", "x, y", "x/y")
    found = names([Gate(metric="shortcut", slice=one, at_most=1) for one in slices])
    assert found[:2] == ["gate_shortcut", "gate_shortcut_hypothesis_only"]
    assert len(set(found)) == len(found)
    assert all(name.isascii() and name.replace("_", "").isalnum() for name in found)
    twice = [Gate(metric="rows", at_least=1), Gate(metric="rows", at_most=9)]
    assert names(twice) == ["gate_rows", "gate_rows_2"]
