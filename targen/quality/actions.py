"""What to do about a finding that is a warning or a failure."""

from collections.abc import Mapping
from typing import Final

ACTIONS: Final[Mapping[str, str]] = {
    "rows": "Read the reasons for rejected items, and change the task or raise the headroom.",
    "label_suspects": "Review the suspect rows, and correct their labels or drop them.",
    "label_noise": "Correct the rows on which the readings disagree, or drop them.",
    "contradictory_duplicates": "Correct the labels of the copies, or drop all of them.",
    "label_in_text": "Remove the label from these texts, or drop the rows.",
    "refusals": "Drop the refusals, and write new rows in their place.",
    "empty_texts": "Fill in the empty cells, or drop their rows.",
    "prompt_remains": "Remove the remains from the texts, or drop the rows.",
    "other_language": "Drop the rows in another language, or correct the language of the task.",
    "loops": "Drop the rows that repeat themselves.",
    "truncated_texts": "Complete these texts or drop their rows; allow longer answers.",
    "personal_data": "Mask the personal data, unless they are invented.",
    "odd_texts": "Clean the odd texts.",
    "template_share": "Write more varied texts: add contexts and ways to the task.",
    "repeated_phrase": "Remove the phrase from most of the rows.",
    "repeated_name": "Replace the name in most of the rows.",
    "repeated_field": "Write more different texts for this field.",
    "exact_duplicates": "Keep one row of each group of copies.",
    "near_duplicates": "Keep one row of each group of near duplicates.",
    "edited_copies": "Keep one row of each group of near duplicates.",
    "contamination": "Drop the copies before you test on the reference.",
    "label_entropy": "Write each label in one way if they mean the same.",
    "label_share": "Add rows with the rare labels.",
    "shortcut": "Rewrite or replace rows until this part alone no longer predicts the label.",
    "word_log_odds": "Remove these words, or use them with all labels: they give the label away.",
    "self_bleu": "Write more varied texts: add contexts and ways to the task.",
    "position_p": "Shuffle the options.",
    "utility": "Check the labels first, then how varied the texts are.",
}
"""Metric -> what to do when it is a warning or a failure."""

_ALIKE: Final = "Look at the rows that are alike, and drop those that add nothing."
OF_OWN_TEXTS: Final[Mapping[str, str]] = {
    "rows": "Read the reasons for rejected items, and label these rows by hand if you need them.",
    "refusals": "Drop the refusals.",
    "truncated_texts": "Complete these texts or drop their rows.",
    "template_share": _ALIKE,
    "self_bleu": _ALIKE,
    "repeated_phrase": "Check whether all rows with this phrase belong in the set.",
    "repeated_name": "Check whether all rows with this name belong in the set.",
    "repeated_field": "Check whether all rows with this text belong in the set.",
    "shortcut": "Add rows in which this part alone does not predict the label.",
    "word_log_odds": "Add rows that use these words with other labels.",
}
"""The same where the texts are the user's own, so that no task writes others."""


def action(metric: str, level: str, own_texts: bool = False) -> str:
    """Return what to do about a finding; empty for notes and good findings.

    Args:
        metric: its metric.
        level: its level.
        own_texts: whether the texts are the user's own.
    """
    known = {**ACTIONS, **OF_OWN_TEXTS} if own_texts else ACTIONS
    return known.get(metric, "") if level in ("bad", "warn") else ""
