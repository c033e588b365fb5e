"""Gaps in which a part of the text tells the label: words or one field."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.intervals import wilson
from targen.quality.judgment import CUE, GAIN
from targen.quality.rules import percent
from targen.quality.shortcuts import word_cues
from targen.quality.text import words
from targen.targeting.gaps import Gap, View, harm
from targen.targeting.lengths import length_fields
from targen.tasks.targets import Avoid

ONE_TEXT_CUE: Final = 0.4
"""As `CUE`, where there is one text: words that belong to a label are natural in it."""
STEM: Final = 5
"""Letters of a word that are compared with the words that define its label."""
WORDS: Final = 8
"""Words that a target names at most."""


def _cues(view: View) -> list[dict[str, Any]]:
    """Return the words that are sure to occur mostly with one label, and do not define it.

    A word that an earlier round was to remove counts from half the difference, so that a round
    finishes what the one before it began.
    """
    least = _least(view)
    gold, own = view.inputs.reference, {name: own_words(view, name) for name in view.names}
    begun = {
        (one.label, one.field, word)
        for part in view.spec.rounds
        for one in part.approved
        for word in one.avoid.words
    }
    found = []
    for cue in view.report.get("cues", ()):
        gap = cue["inside"] - cue["outside"]
        known = (cue["label"], cue["field"], cue["word"]) in begun
        if gap < (least / 2 if known else least) or cue["word"][:STEM] in own[cue["label"]]:
            continue
        if gold is not None and _difference(gold, cue) * 2 >= gap:
            continue
        found.append(cue)
    return found


def _least(view: View) -> float:
    """Return the difference of shares from which a word is a cue."""
    return CUE if len(view.inputs.text_fields) > 1 else ONE_TEXT_CUE


def own_words(view: View, name: str) -> set[str]:
    """Return the beginnings of the words that say what a label means."""
    label = view.spec.labels[name]
    told = " ".join([name, label.definition, label.constraint, *label.ways])
    return {word[:STEM] for word in words(pl.Series([told]))[0]}


def _difference(rows: pl.DataFrame, cue: dict[str, Any]) -> float:
    """Return how much commoner a word is with its label than with others."""
    has = words(rows[cue["field"]]).list.contains(cue["word"])
    own = rows["label"] == cue["label"]
    if not own.any() or own.all():
        return 0.0
    return float(has.filter(own).mean() or 0) - float(has.filter(~own).mean() or 0)  # type: ignore[arg-type]


def label_words(view: View) -> list[Gap]:
    """Return, for each label and field, the words that occur mostly with the label."""
    if not view.names:
        return []
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cue in _cues(view):
        groups.setdefault((cue["label"], cue["field"]), []).append(cue)
    found = []
    for (label, name), cues in sorted(groups.items()):
        if name not in view.fields:
            continue
        cues.sort(key=lambda cue: (cue["outside"] - cue["inside"], cue["word"]))
        top, named = cues[0], [cue["word"] for cue in cues[:WORDS]]
        has = words(view.rows[name])
        counts = np.sum([has.list.contains(word).to_numpy() for word in named], axis=0)
        own = np.flatnonzero(view.labels == label)
        rows = own[counts[own] > 0]
        rows = rows[np.argsort(-counts[rows], kind="stable")]
        need = round(own.size * (top["inside"] - top["outside"]))
        low, high = wilson(round(top["inside"] * own.size), own.size)
        more = f" and {len(named) - 1} more words that point to {label}" if named[1:] else ""
        found.append(
            Gap(
                "label_word",
                f"In {name}, “{top['word']}” is in {percent(top['inside'])} of the {label} rows "
                f"and in {percent(top['outside'])} of the others. Write {label} rows without "
                f"it{more}.",
                "word_log_odds",
                f"{label}, {name}: {top['word']}",
                top["inside"],
                top["outside"],
                need,
                rows.tolist(),
                harm(top["inside"] - top["outside"], _least(view)),
                low,
                high,
                {
                    "label": label,
                    "field": name,
                    "avoid": Avoid(words=named),
                    "rewrite_seed": view.rewrites(name),
                },
                others_count=True,
            )
        )
    return found


def shortcut(view: View) -> list[Gap]:
    """For each label, find the rows whose label can be predicted from one field alone.

    Only for fields that are written for a given text. In other tasks, one field may decide the
    label.
    """
    pair = not set(view.fields).isdisjoint(view.spec.seed_fields)
    known = {cue["field"] for cue in _cues(view)}.union(length_fields(view))
    found = []
    for name in view.fields if pair and view.names else ():
        figure = view.above("shortcut", f"{name} only", GAIN[0])
        # Where words or lengths tell the label, other targets name them.
        if figure is None or (figure["low"] or 0) <= 0 or name in known:
            continue
        right = _confident(view, name)
        size = len(view.names)
        # A row that tells nothing is still guessed right once in `size`.
        need = figure["value"] * view.rows.height * size / (size - 1)
        cues = word_cues(view.rows, [name], view.names)
        for label in view.names:
            rows = [row for row in right if view.labels[row] == label]
            own = own_words(view, label)
            named = [
                cue["word"]
                for cue in cues
                if cue["label"] == label and cue["sure"] and cue["word"][:STEM] not in own
            ][:WORDS]
            share = round(need * len(rows) / max(1, len(right)))
            found.append(
                Gap(
                    "shortcut",
                    f"{name} alone predicts the label {figure['value'] * 100:.0f} percentage "
                    f"points better than guessing. Replace the {label} rows that show this most "
                    f"clearly by rows whose {name} fits every label.",
                    "shortcut",
                    f"{name} only",
                    figure["value"],
                    GAIN[0],
                    share,
                    rows,
                    # Less than gaps with a known cause: these may be what it comes from.
                    harm(figure["value"], GAIN[0], 1 - 1 / size) / 2,
                    figure["low"],
                    figure["high"],
                    {
                        "label": label,
                        "field": name,
                        "avoid": Avoid(words=named),
                        "rewrite_seed": view.rewrites(name),
                    },
                    unexplained=True,
                )
            )
    return found


def _confident(view: View, name: str) -> Sequence[int]:
    """Return the rows whose label one field predicts rightly, the surest first."""
    labels = learner.label_codes(view.rows["label"], view.names)
    features = learner.TextFeatures(view.rows, [name]).transform(view.rows)
    groups = learner.groups_of(view.rows, view.inputs.pair_field)
    scores = learner.cross_validated(features, labels, groups, len(view.names))
    own = scores.probability[np.arange(labels.size), labels]
    right = np.flatnonzero(scores.probability.argmax(axis=1) == labels)
    ranked: list[int] = right[np.argsort(-own[right], kind="stable")].tolist()
    return ranked
