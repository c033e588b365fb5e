"""Shortcuts: parts of the input, or single words, that predict the label by themselves."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.difficulty import (
    FEWEST,
    has_row_options,
    reason_no_labels,
    reason_not_learnable,
)
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, accuracy_error, held_out_mean
from targen.quality.learner import Accuracies
from targen.quality.text import Ints, joined, sample, tokens, unique

LENGTH = "length only"
FORM = "punctuation only"
BINS = 8
FORMS = (
    r"\.$", r"\?$", r"!$", r"[\"'”’)]$", r"[,;:]$", r"\w$", r"^\p{Lu}", r"\p{Lu}{3,}", r"\d", r",",
    r"[;:]", r"[()\[\]]", r"[\"“”]", r"['’]", r"[–—-]", r"\?.", r"!.", r"\n",
)  # fmt: skip
"""Patterns of a text's form, one feature each."""
PRIOR = 500.0
"""Total pseudo-count of the prior, distributed over words as in the pooled text."""
NOTED = 0.1
"""Difference between the shares of rows with a word from which the exact test is used."""
TOP = 8
"""Words shown per label and field."""


def accuracies(scores: learner.HeldOutScores, labels: Ints) -> Accuracies:
    """Return per row whether the prediction is correct with the text, and from label shares alone.

    The mean difference is the gain in accuracy over always predicting the commonest label, from -1
    to 1.
    """
    correct, guess = (p.argmax(axis=1) == labels for p in (scores.probability, scores.null))
    return Accuracies(correct.astype(np.float64), guess.astype(np.float64))


def length_bins(rows: pl.DataFrame, fields: Sequence[str]) -> Any:
    """Return the number of words per field as indicators of `BINS` quantile bins, in CSR form."""
    from scipy import sparse  # noqa: PLC0415

    parts = []
    for name in fields:
        lengths = tokens(rows, [name]).lengths
        edges = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, lengths, side="right")
        parts.append(np.eye(edges.size + 1)[bins])
    return sparse.csr_matrix(np.concatenate(parts, axis=1))


def form(rows: pl.DataFrame, fields: Sequence[str]) -> Any:
    """Return indicators of last character, capitals and punctuation per field, in CSR form."""
    from scipy import sparse  # noqa: PLC0415

    parts = []
    for name in fields:
        text = joined(rows, [name]).fill_null("").str.strip_chars()
        parts += [text.str.contains(pattern).to_numpy() for pattern in FORMS]
    return sparse.csr_matrix(np.column_stack(parts).astype(np.float64))


def log_odds(inside: Ints, outside: Ints, prior: Floats) -> Floats:
    """Weighted log-odds of words in one group of rows against the other rows, as z-scores.

    Difference of each word's log-odds under an informative Dirichlet prior, divided by its
    standard error. Unit: standard deviations; positive values are associated with the group.
    Source: Monroe, Colaresi and Quinn 2008 (eq. 16 to 22), with the pooled text as prior. It
    finds single words only, and an association may be legitimate.

    Args:
        inside: number of rows of the group that contain the word, per word.
        outside: number of other rows that contain it.
        prior: pseudo-counts per word.
    """
    one, two = inside + prior, outside + prior
    delta = np.log(one / (one.sum() - one)) - np.log(two / (two.sum() - two))
    return np.asarray(delta / np.sqrt(1 / one + 1 / two), dtype=np.float64)


def word_cues(
    rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the words most associated with a label, the strongest first.

    Each has field, word, label, z, the shares of rows inside and outside the label that contain
    it, and `sure`: at least five rows contain the word, and the probability of so large a z, or of
    so many rows with the label (Fisher's exact test), is below 5% over all words and labels
    (Bonferroni). The result has all sure words and,
    among words in at least two rows, the `TOP` of each label and field.
    """
    from scipy.stats import hypergeom  # noqa: PLC0415  (slow to import)

    labels = learner.label_codes(rows["label"], names)
    found: list[dict[str, Any]] = []
    parts = []
    for name in fields:
        text = tokens(rows, [name])
        if text.ids.size:
            pairs = unique(text.ids * rows.height + text.rows)
            parts.append((name, text.vocabulary, pairs // rows.height, pairs % rows.height))
    if len(names) < 2 or not parts:
        return []
    tests = sum(len(vocabulary) for _, vocabulary, _, _ in parts) * len(names)
    critical = NormalDist().inv_cdf(1 - 0.05 / tests)
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
            # The prior makes the scores conservative for words that never occur elsewhere.
            # The exact test is slow, so it is for words that are much commoner with the label.
            often = np.flatnonzero(
                (pooled >= 5) & (inside / own.sum() - (pooled - inside) / (~own).sum() >= NOTED)
            )
            exact = np.ones(size)
            exact[often] = tests * hypergeom.sf(
                inside[often] - 1, rows.height, pooled[often], int(own.sum())
            )
            sure = ((scores >= critical) | (exact < 0.05)) & (scores > 0) & (pooled >= 5)
            ranked = np.argsort(-np.where(pooled >= 2, scores, -np.inf), kind="stable")[:TOP]
            above = ranked[(scores[ranked] > 0) & (pooled[ranked] >= 2)]
            found += [
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
                for i in np.union1d(np.flatnonzero(sure), above)
            ]
    return sorted(found, key=lambda cue: (-cue["z"], cue["field"], cue["word"]))


def input_parts(inputs: ReportInputs) -> dict[str, list[str]]:
    """Return name -> fields of the parts that should not predict the label by themselves.

    `LENGTH` and `FORM` have no fields: they are the number of words per field, and its punctuation.
    """
    fields = inputs.text_fields
    parts = {f"{name} only": [name] for name in fields} if len(fields) > 1 else {}
    options = [name for name in inputs.options if name in fields]
    if 1 < len(options) < len(fields):
        parts["options only"] = options
    return parts | {LENGTH: [], FORM: []}


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the accuracy gain over guessing from parts of the input, and words that predict a label.

    If the options of a span differ from row to row, there is one part: the options without the
    other fields, compared with a random option.
    """
    if has_row_options(inputs) and inputs.answer_kind == "span":
        _options_only(inputs, collector)
        return
    reason = reason_no_labels(inputs)
    if reason is not None:
        collector.skip("shortcut", reason)
        return
    names, gold = label_set(inputs), inputs.reference
    labeled = inputs.rows.drop_nulls("label")
    rows = sample(labeled, inputs.most_rows)
    reference = None if gold is None else gold.filter(pl.col("label").is_in(names))
    if reference is not None and (reference.height < 30 or reference["label"].n_unique() < 2):
        reference = None
    reference = None if reference is None else sample(reference, inputs.most_rows)
    for part, fields in input_parts(inputs).items():
        own = _part_scores(rows, part, fields, names, inputs)
        other = None if reference is None else _part_scores(reference, part, fields, names, inputs)
        collector.add(_measure(part, own, other))
    cues = word_cues(labeled, inputs.text_fields, names)
    tops = [[cue for cue in cues if cue["label"] == label][:TOP] for label in names]
    collector.details["top_words"] = [top for top in tops if top]
    collector.details["cues"] = [cue for top in tops for cue in top if cue["sure"]]
    for cue in collector.details["cues"]:
        slice_ = f"{cue['label']}, {cue['field']}: {cue['word']}"
        collector.add(Measure("word_log_odds", cue["z"], cue["rows"], slice_))


def _measure(part: str, own: Accuracies, reference: Accuracies | None) -> Measure:
    """Return the gain of one part; its interval is at least as wide as that of the accuracy.

    A classifier that nearly always guesses the commonest label gains nothing on nearly all rows,
    but would guess another one in another sample.
    """
    gains = own.model - own.guess
    low, high = held_out_mean(gains, learner.FOLDS, accuracy_error(own.model))
    other = None if reference is None else float((reference.model - reference.guess).mean())
    return Measure("shortcut", float(gains.mean()), gains.size, part, low, high, other)


def _options_only(inputs: ReportInputs, collector: MetricCollector) -> None:
    reason = reason_not_learnable(inputs)
    if reason is not None:
        collector.skip("shortcut", reason)
        return
    classifier = OptionClassifier([], inputs.options, inputs.pair_field)
    gold, usable = inputs.reference, classifier.usable(inputs.rows)
    reference = None if gold is None else sample(classifier.usable(gold), inputs.most_rows)
    if reference is not None and reference.height < FEWEST:
        reference = None
    own = classifier.accuracies(sample(usable, inputs.most_rows))
    other = None if reference is None else classifier.accuracies(reference)
    collector.add(_measure("options only", own, other))


def part_features(
    rows: pl.DataFrame, part: str, fields: Sequence[str], inputs: ReportInputs
) -> Any:
    """Return the features of one of `input_parts`, in CSR form."""
    if fields:
        return learner.TextFeatures(rows, fields).transform(rows)
    if part == FORM:
        return form(rows, inputs.text_fields)
    return length_bins(rows, inputs.text_fields)


def _part_scores(
    rows: pl.DataFrame,
    part: str,
    fields: Sequence[str],
    names: Sequence[str],
    inputs: ReportInputs,
) -> Accuracies:
    """Return the accuracy per row with one part of the input."""
    labels = learner.label_codes(rows["label"], names)
    groups = learner.groups_of(rows, inputs.pair_field)
    matrix = part_features(rows, part, fields, inputs)
    return accuracies(learner.cross_validated(matrix, labels, groups, len(names)), labels)
