"""Cues that give the label away without the task being solved."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.difficulty import FEWEST, ROWS, chosen, why_no_labels, why_not
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_mean
from targen.quality.self_similarity import sample
from targen.quality.text import Ints, tokens

BINS = 8
PRIOR = 500.0
"""Words of pooled text that each label's counts are topped up with."""
TOP = 8


def gains(scores: learner.HeldOutScores, labels: Ints) -> Floats:
    """Return per row: right with the text (1 or 0) minus right with the label shares alone.

    The mean is accuracy over that of always naming the commonest label, from -1 to 1.
    """
    right = scores.probability.argmax(axis=1) == labels
    base = scores.null.argmax(axis=1) == labels
    return np.asarray(right.astype(np.float64) - base, dtype=np.float64)


def length_bins(rows: pl.DataFrame, fields: Sequence[str]) -> Any:
    """Return the number of words per field as indicators of eight equally filled bins."""
    from scipy import sparse  # noqa: PLC0415

    parts = []
    for name in fields:
        text = tokens(rows, [name])
        size = text.starts[1:] - text.starts[:-1]
        edges = np.unique(np.quantile(size, np.linspace(0, 1, BINS + 1)[1:-1]))
        place = np.searchsorted(edges, size, side="right")
        parts.append(np.eye(edges.size + 1)[place])
    return sparse.csr_matrix(np.concatenate(parts, axis=1))


def log_odds(inside: Ints, outside: Ints, prior: Floats) -> Floats:
    """Weighted log-odds of words in one group of rows against the rest, as z-scores.

    Difference of the log-odds of each word under an informative Dirichlet prior, over its
    standard error. Unit: standard deviations; above 0 the word goes with the group. Source:
    Monroe, Colaresi and Quinn 2008 (eq. 16 to 22), with the pooled text as prior. It finds
    single words only, and a word may rightly go with a label.

    Args:
        inside: rows of the group that hold the word, per word.
        outside: rows of the rest that hold it.
        prior: pseudo-counts per word.
    """
    one, two = inside + prior, outside + prior
    delta = np.log(one / (one.sum() - one)) - np.log(two / (two.sum() - two))
    return np.asarray(delta / np.sqrt(1 / one + 1 / two), dtype=np.float64)


def word_cues(
    rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the words that go most with a label, the strongest first.

    Each is field, word, label, z, the shares of the label's and the other rows that hold it, and
    `sure`: the word stands in at least five rows, and a z as high would come up by chance with
    probability below 5% over all words and labels (Bonferroni). All sure words are there, and of
    the others the `TOP` of each label and field, as long as two rows hold them.
    """
    labels = learner.label_codes(rows["label"], names)
    found: list[dict[str, Any]] = []
    parts = []
    for name in fields:
        text = tokens(rows, [name])
        if text.ids.size:
            pairs = np.unique(text.ids * rows.height + text.rows)
            parts.append((name, text.vocabulary, pairs // rows.height, pairs % rows.height))
    if len(names) < 2 or not parts:
        return []
    tests = sum(len(vocabulary) for _, vocabulary, _, _ in parts) * len(names)
    least = NormalDist().inv_cdf(1 - 0.05 / tests)
    for name, vocabulary, ids, owners in parts:
        size = len(vocabulary)
        pooled = np.bincount(ids, minlength=size)
        prior = pooled * (PRIOR / pooled.sum())
        for number, label in enumerate(names):
            own = labels == number
            inside = np.bincount(ids[own[owners]], minlength=size)
            if size < 2 or not own.any() or own.all():
                continue
            scores = log_odds(inside, pooled - inside, prior)
            sure = (scores >= least) & (pooled >= 5)
            ranked = np.argsort(-np.where(pooled >= 2, scores, -np.inf), kind="stable")[:TOP]
            above = ranked[(scores[ranked] > 0) & (pooled[ranked] >= 2)]
            for i in np.union1d(np.flatnonzero(sure), above):
                found.append(
                    {
                        "field": name,
                        "word": vocabulary[i],
                        "label": label,
                        "z": round(float(scores[i]), 3),
                        "inside": float(inside[i] / own.sum()),
                        "outside": float((pooled[i] - inside[i]) / (~own).sum()),
                        "rows": int(pooled[i]),
                        "sure": bool(sure[i]),
                    }
                )
    return sorted(found, key=lambda cue: (-cue["z"], cue["field"], cue["word"]))


def parts_of(inputs: ReportInputs) -> dict[str, list[str]]:
    """Return name -> fields of each part of the input that should not tell the label alone."""
    fields = inputs.text_fields
    parts = {f"{name} only": [name] for name in fields} if len(fields) > 1 else {}
    options = [name for name in inputs.options if name in fields]
    if 1 < len(options) < len(fields):
        parts["options only"] = options
    return parts


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add accuracy over guessing from parts of the input and length, and the words that tell.

    Where the options of a span differ from row to row, there is one part: the options without
    anything else of the row, against naming one at random.
    """
    if chosen(inputs) and inputs.answer_kind == "span":
        _options_only(inputs, collector)
        return
    why = why_no_labels(inputs)
    if why is not None:
        collector.skip("shortcut", why)
        return
    names, gold = label_set(inputs), inputs.reference
    size = min(ROWS, inputs.rows["label"].count(), gold.height if gold is not None else ROWS)
    rows = sample(inputs.rows.drop_nulls("label"), size)
    theirs = None if gold is None else gold.filter(pl.col("label").is_in(names))
    if theirs is not None and (theirs.height < 30 or theirs["label"].n_unique() < 2):
        theirs = None
    theirs = None if theirs is None else sample(theirs, size)
    for part, fields in {**parts_of(inputs), "length only": []}.items():
        own = _part(rows, fields, names, inputs)
        low, high = bootstrap_mean(own, "shortcut", part)
        other = None if theirs is None else float(_part(theirs, fields, names, inputs).mean())
        collector.add(Measure("shortcut", float(own.mean()), size, part, low, high, other))
    cues = word_cues(inputs.rows.drop_nulls("label"), inputs.text_fields, names)
    tops = [[cue for cue in cues if cue["label"] == label][:TOP] for label in names]
    collector.details["top_words"] = [top for top in tops if top]
    collector.details["cues"] = [cue for top in tops for cue in top if cue["sure"]]
    for cue in collector.details["cues"]:
        where = f"{cue['label']}, {cue['field']}: {cue['word']}"
        collector.add(Measure("word_log_odds", cue["z"], cue["rows"], where))


def _options_only(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add what is gained over an option at random by looking at nothing but the options."""
    why, by, gold = (
        why_not(inputs),
        OptionClassifier([], inputs.options, inputs.pair_field),
        inputs.reference,
    )
    if why is not None:
        collector.skip("shortcut", why)
        return
    known = by.usable(inputs.rows)
    size = min(ROWS, known.height, gold.height if gold is not None else ROWS)
    theirs = None if gold is None else sample(by.usable(gold), size)
    if theirs is not None and theirs.height < FEWEST:
        theirs = None
    own, part = by.accuracy_gain(sample(known, size)), "options only"
    low, high = bootstrap_mean(own, "shortcut", part)
    other = None if theirs is None else float(by.accuracy_gain(theirs).mean())
    collector.add(Measure("shortcut", float(own.mean()), size, part, low, high, other))


def _part(
    rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str], inputs: ReportInputs
) -> Floats:
    """Return per row what is gained by looking at `fields`; at all lengths where none is given."""
    labels = learner.label_codes(rows["label"], names)
    groups = learner.groups_of(rows, inputs.pair_field)
    if fields:
        matrix = learner.TextFeatures(rows, fields).transform(rows)
    else:
        matrix = length_bins(rows, inputs.text_fields)
    return gains(learner.cross_validated(matrix, labels, groups, len(names)), labels)
