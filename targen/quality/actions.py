"""What to do about a finding that is a warning or a failure."""

from collections.abc import Mapping
from typing import Final

ACTIONS: Final[Mapping[str, str]] = {
    "rows": "See the rejected items for the reasons.",
    "label_suspects": "Review these rows.",
    "label_noise": "Correct the rows on which the readings disagree, or drop them.",
    "contradictory_duplicates": "Correct the labels, or drop all copies.",
    "label_in_text": "Remove the label from these texts.",
    "refusals": "Drop these rows.",
    "empty_texts": "Drop these rows.",
    "prompt_remains": "Remove the remains, or drop these rows.",
    "other_language": "Drop these rows, or correct the language of the task.",
    "loops": "Drop these rows.",
    "truncated_texts": "Drop the truncated texts, and allow longer answers.",
    "personal_data": "Mask the data, unless they are invented.",
    "odd_texts": "Clean these texts.",
    "template_share": "Generate more varied texts: add contexts and ways to the task.",
    "repeated_phrase": "Remove the phrase from most of these rows.",
    "repeated_name": "Vary the name.",
    "repeated_field": "Generate more texts for this field.",
    "exact_duplicates": "Keep one row of each.",
    "near_duplicates": "Keep one row of each group.",
    "edited_copies": "Keep one row of each group.",
    "contamination": "Drop these rows before you test on the reference.",
    "label_share": "Add rows with the rare labels.",
    "shortcut": "Balance it across the labels.",
    "word_log_odds": "Use these words with all labels.",
    "self_bleu": "Generate more varied texts: add contexts and ways to the task.",
    "position_p": "Shuffle the options.",
    "utility": "Check the labels first, then how varied the texts are.",
}
"""Metric -> what to do when it is a warning or a failure."""


def action(metric: str, level: str) -> str:
    """Return what to do about a finding; empty for notes and good findings."""
    return ACTIONS.get(metric, "") if level in ("bad", "warn") else ""
