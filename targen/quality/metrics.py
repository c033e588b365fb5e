"""Every metric of the report by name: what a gate may name, and how a sentence calls it."""

from dataclasses import dataclass
from typing import Final

from targen.tasks.registry import register_metrics


@dataclass(frozen=True)
class Metric:
    """What must be known of a metric without computing it.

    Attributes:
        words: how a sentence calls the figure, as its subject.
        share: it lies between 0 and 1 and is shown in percent.
    """

    words: str
    share: bool = False


def _share(words: str) -> Metric:
    return Metric(words, share=True)


METRICS: Final = {
    "rows": Metric("rows"),
    "rows_asked": Metric("rows asked for"),
    "rejected": Metric("rejected items"),
    "acceptance": _share("items accepted of those asked for"),
    "calls": Metric("calls"),
    "prompt_tokens": Metric("tokens sent"),
    "completion_tokens": Metric("tokens received"),
    "cost_usd": Metric("cost in US dollars"),
    "accepted_per_call": Metric("rows accepted per call"),
    "tokens_per_row": Metric("tokens per row"),
    "cost_per_row_usd": Metric("cost per row in US dollars"),
    "label_share": _share("rows with the label"),
    "label_entropy": Metric("evenness of the labels (1 is even)"),
    "planned_entropy": Metric("evenness of a planned field (1 is even)"),
    "position_chi_square": Metric("chi-square of the answer's position"),
    "position_p": Metric("p-value of an even spread of the answer's position"),
    "flip_rate": _share("rows whose label changed"),
    "flips_annotated": Metric("rows by intended and annotated label"),
    "flips_final": Metric("rows by intended and final label"),
    "split_votes": _share("rows whose annotators disagree"),
    "kappa": Metric("Cohen’s kappa of intended and annotated label"),
    "dropped_share": _share("rows dropped by correction"),
    "label_noise": _share("labels that are still wrong"),
    "reading_accuracy": _share("labels of one reading that are right"),
    "detection": _share("planted errors that correction notices"),
    "false_alarm": _share("right labels that correction doubts"),
    "exact_duplicates": _share("rows that repeat another exactly"),
    "near_duplicates": _share("rows nearly the same as another"),
    "distinct_1": _share("distinct words"),
    "distinct_2": _share("distinct pairs of words"),
    "distinct_3": _share("distinct runs of three words"),
    "vocabulary": Metric("different words"),
    "words": Metric("words per row"),
    "self_bleu": _share("self-BLEU-4"),
    "rouge_l_nearest": _share("ROUGE-L with the nearest row"),
    "novel": _share("rows whose ROUGE-L with every other row is low"),
    "rows_per_3gram": Metric("rows per distinct run of three words (INGF)"),
    "compression": Metric("compression ratio"),
    "mean_similarity": Metric("mean cosine similarity of two rows"),
    "reference_similarity": Metric("mean cosine similarity to the reference"),
    "similarity": Metric("mean cosine similarity within or between labels"),
    "vendi_score": Metric("Vendi score (effective number of different rows)"),
    "drift": Metric("similarity to the root"),
    "v_information": Metric("V-usable information in bits"),
    "negative_pvi": _share("rows with negative pointwise V-information"),
    "shortcut": Metric("accuracy gained from part of the input over guessing"),
    "word_log_odds": Metric("log-odds of a word"),
    "mention": _share("mentions of a kind of entity"),
    "entity": _share("rows that name an entity of a type"),
    "gender_parity": _share("pairs of rows whose labels agree when the gender is swapped"),
    "coverage": _share("combinations of attributes used of those expected"),
    "adherence": _share("rows that keep what they were asked to hold"),
    "contamination": _share("rows that repeat text of the reference data"),
    "utility": _share("accuracy on gold data"),
}  # fmt: skip
"""Metric -> what is known of it; a new metric of the report is entered here."""

SECTIONS: Final = {
    "yield": "rows rows_asked rejected acceptance calls prompt_tokens completion_tokens cost_usd "
    "accepted_per_call tokens_per_row cost_per_row_usd",
    "balance": "label_share label_entropy planned_entropy position_chi_square position_p",
    "agreement": "flip_rate flips_annotated flips_final split_votes kappa dropped_share "
    "label_noise reading_accuracy detection false_alarm",
    "repetition": "exact_duplicates near_duplicates",
    "wording": "distinct_1 distinct_2 distinct_3 vocabulary words self_bleu rouge_l_nearest novel "
    "rows_per_3gram compression",
    "meaning": "mean_similarity reference_similarity similarity vendi_score drift",
    "difficulty": "v_information negative_pvi",
    "shortcuts": "shortcut word_log_odds",
    "mentions": "mention entity gender_parity",
    "coverage": "coverage adherence",
    "reference": "contamination utility",
}
"""Section of the page -> the metrics that it shows; its id there is the name here."""
_SECTION_OF: Final = {metric: name for name, held in SECTIONS.items() for metric in held.split()}


def title(metric: str) -> str:
    """Return what a metric is called where it stands alone; a name not known here as it is.

    A slice may follow, as in `flip_rate, intended to annotated`.
    """
    name, comma, slice_ = metric.partition(", ")
    if name not in METRICS:
        return metric
    words = METRICS[name].words
    return words[:1].upper() + words[1:] + comma + slice_


def section(metric: str) -> str:
    """Return the name of the section of the page that shows a metric."""
    return _SECTION_OF[metric]


register_metrics(METRICS)
