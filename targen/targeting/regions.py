"""Regions of other texts: those that the set does not cover, and those that confuse a student.

A region is a cluster of gold rows, or of the user's unlabeled texts. Prompts get words of a
region, each of which is in several texts, and never the texts themselves.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.intervals import bootstrap_mean, wilson
from targen.quality.rules import percent
from targen.quality.text import Ints, generator, joined, sample, words
from targen.quality.topics import clusters, stop_words
from targen.targeting.errors import holm
from targen.targeting.gaps import Gap, View
from targen.targeting.student import MOST_ROWS
from targen.tasks.targets import Target

REFERENCE: Final = "reference"
UNLABELED: Final = "unlabeled texts"
SHARE: Final = "region_share"
ENTROPY: Final = "student_entropy"
REGIONS: Final = 10
"""Most regions."""
TEXTS_PER_REGION: Final = 40
"""Texts for which there is one more region, up to `REGIONS`."""
FEWEST_TEXTS: Final = 5
"""Texts that a word must be in to be named in a prompt."""
COMMON: Final = 0.3
"""Share of the texts above which a word tells no region."""
WORDS: Final = 6
"""Words that name a region."""
CLOSE: Final = 0.25
"""Quantile of the similarity of a region's texts to its center from which a text belongs to it."""
COHERENT: Final = 0.5
"""Share of a region's texts that must have `PAIR` of its words."""
PAIR: Final = 2
PART: Final = 0.5
"""Part of its share of the other texts below which a region is missing."""
AT_ONCE: Final = 3
"""Regions of one source that are targeted at a time."""
LEAST: Final = 0.02
"""Share of the rows that a region must lack."""
MORE_BITS: Final = 0.1
"""Bits by which the entropy in a region is above that elsewhere."""


@dataclass(frozen=True)
class Region:
    """A cluster of texts.

    Attributes:
        name: its most telling words.
        share: share of the texts that are in it; of the half that clusters were not made from, so
            that it can be compared with the share of rows.
        hits, texts: as counts.
        members: whether each of the clustered texts is in it.
        rows: whether each row of the set is in it.
    """

    name: str
    hits: int
    texts: int
    members: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of the texts that fall in this region."""
        return self.hits / self.texts


def _sources(view: View) -> Iterator[tuple[str, pl.DataFrame, list[str]]]:
    """Yield name, texts and text fields of what there is to compare with."""
    for name, frame in ((REFERENCE, view.inputs.reference), (UNLABELED, view.pool)):
        if frame is None:
            continue
        some = sample(frame, MOST_ROWS)
        known = [one for one in view.fields if one in some.columns and some[one].count()]
        if known:
            yield name, some, known


def _telling(frame: pl.DataFrame, fields: Sequence[str], language: str) -> list[list[str]]:
    stop = stop_words(language)
    return [
        [word for word in row if len(word) > 2 and word not in stop and not word.isdigit()]
        for row in words(joined(frame, fields)).to_list()
    ]


def regions(
    texts: pl.DataFrame, rows: pl.DataFrame, fields: Sequence[str], language: str
) -> list[Region]:
    """Return the regions of some texts, and which rows of the set are in them.

    TF-IDF of content words; spherical k-means on a random half of the texts. The other half and the
    rows go to the nearest center, if they are as close to it as three quarters of the other half's
    texts in the region.

    Returns:
        The regions; none if there are too few texts, or if they share too few words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - slow to import

    order = generator("regions", texts.height).permutation(texts.height)
    fit, held = np.sort(order[::2]), np.sort(order[1::2])
    count = min(REGIONS, fit.size // TEXTS_PER_REGION)
    if count < 2:
        return []
    vectorizer = TfidfVectorizer(
        analyzer=list, sublinear_tf=True, min_df=FEWEST_TEXTS, max_df=COMMON
    )
    said = _telling(texts, fields, language)
    try:
        vectors = vectorizer.fit_transform(said)
    except ValueError:
        return []
    known = fit[np.asarray(vectors[fit].getnnz(axis=1)) > 0]
    if known.size < count:
        return []
    _, centers = clusters(vectors[known], count, generator("regions of", count))
    near, close = _nearest(vectors, centers)
    own, own_close = _nearest(vectorizer.transform(_telling(rows, fields, language)), centers)
    terms = vectorizer.get_feature_names_out()
    found = []
    for i, center in enumerate(centers):
        mine = held[near[held] == i]
        if mine.size < FEWEST_TEXTS:
            continue
        weight = center - centers.mean(axis=0)
        best = np.lexsort((np.arange(center.size), -np.round(weight, 9)))[:WORDS]
        top = [at for at in best if weight[at] > 0]
        # Such texts are together by chance.
        if float((vectors[mine][:, top].getnnz(axis=1) >= PAIR).mean()) < COHERENT:
            continue
        edge = float(np.quantile(close[mine], CLOSE))
        found.append(
            Region(
                ", ".join(str(terms[at]) for at in top),
                int((close[mine] >= edge).sum()),
                held.size,
                (near == i) & (close >= edge),
                (own == i) & (own_close >= edge),
            )
        )
    return found


def _nearest(vectors: Any, centers: Any) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Return the nearest center of each row, -1 if it has none of their words; and the cosine."""
    similarity = np.round(np.asarray(vectors @ centers.T), 9)
    nearest = similarity.argmax(axis=1).astype(np.int64)
    best = similarity[np.arange(nearest.size), nearest]
    return np.where(best > 0, nearest, -1), best


def missing_regions(view: View) -> list[Gap]:
    """Return the regions of the gold rows and of the unlabeled texts that the set hardly covers.

    A region is missing if its share of the rows is less than half of its share of the texts, and
    the difference is sure (Fisher's exact test, Holm's correction over the regions).
    """
    from scipy.stats import hypergeom  # noqa: PLC0415  (slow to import)

    found = []
    height = view.rows.height
    for source, texts, fields in _sources(view):
        known = regions(texts, view.rows, fields, view.inputs.language)
        counts = [int(one.rows.sum()) for one in known]
        chances = [
            hypergeom.sf(one.hits - 1, one.texts + height, one.hits + count, one.texts)
            for one, count in zip(known, counts, strict=True)
        ]
        lacking = [one.share - count / height for one, count in zip(known, counts, strict=True)]
        sure = holm(chances)
        missing = [
            i
            for i in np.argsort([-value for value in lacking], kind="stable")
            if sure[i] and counts[i] / height <= PART * known[i].share and lacking[i] >= LEAST
        ]
        called = "gold rows" if source == REFERENCE else source
        for i in missing[:AT_ONCE]:
            one, count = known[i], counts[i]
            low, high = wilson(count, height)
            found.append(
                Gap(
                    "missing_region",
                    f"{percent(one.share)} of the {called} are about {one.name}, but only "
                    f"{percent(count / height)} of the rows of the set. Write rows about these "
                    "things.",
                    SHARE,
                    f"{source}: {one.name}",
                    count / height,
                    one.share,
                    round(lacking[i] * height),
                    _donors(known, height),
                    # Less than other gaps: the set may be about other things on purpose.
                    (1 - count / height / one.share) / 2,
                    low,
                    high,
                    {"context": _context(one)},
                )
            )
    return found


def _context(one: Region) -> str:
    """Return a region as a context of a prompt."""
    return f"a subject to which these words belong: {one.name}"


def _donors(known: Sequence[Region], height: int) -> list[int]:
    """Return the rows that are in no region, then those in regions with too many."""
    excess = np.full(height, 1.0)
    for one in known:
        excess[one.rows] = one.rows.mean() - one.share
    # The last rows go first, so that the first rows of a set change least.
    ranked: list[int] = np.lexsort((-np.arange(height), -excess)).tolist()
    return [row for row in ranked if excess[row] > 0]


def high_entropy(view: View) -> list[Gap]:
    """Return the regions of the unlabeled texts in which a student of the set is unsure.

    The entropy of the student's prediction is compared with that elsewhere (Mann-Whitney, Holm's
    correction over the regions).
    """
    student = view.student
    found: list[Gap] = []
    if student is None or not _fitting(view) or view.pool is None or not _judges(view):
        return found
    texts, height = sample(view.pool, MOST_ROWS), view.rows.height
    entropy = _entropy(student.predict(texts))
    known = regions(texts, view.rows, view.fields, view.inputs.language)
    sure = holm([_higher(entropy, one.members) for one in known])
    for one, passed in zip(known, sure, strict=True):
        value, others = entropy[one.members], float(entropy[~one.members].mean())
        if not passed or value.mean() < others + MORE_BITS:
            continue
        low, high = bootstrap_mean(value, "entropy", one.name)
        found.append(
            Gap(
                "high_entropy",
                "A classifier trained on this set is unsure about the unlabeled texts on "
                f"{one.name}: its predictions have an entropy of {value.mean():.2f} bits there, "
                f"and of {others:.2f} bits elsewhere. Write rows about these things.",
                ENTROPY,
                one.name,
                float(value.mean()),
                others,
                max(0, round(one.share * height / 2)),
                [row for row in student.easiest if not one.rows[row]],
                (float(value.mean()) - others) / (math.log2(len(view.names)) - others) / 2,
                low,
                high,
                {"context": _context(one)},
            )
        )
    return found


def _fitting(view: View) -> bool:
    """Return whether the unlabeled texts have all text fields, so that a student can read them."""
    pool = view.pool
    return pool is not None and all(n in pool.columns and pool[n].count() for n in view.fields)


def _judges(view: View) -> bool:
    if view.exam is not None:
        return view.exam.judges
    return view.student is not None and view.student.judges


def _entropy(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the entropy of each row of probabilities, in bits."""
    return np.asarray(-(probability * np.log2(probability)).sum(axis=1), dtype=np.float64)


def _higher(values: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> float:
    """Return the probability of so high values in a part if it were like the rest."""
    from scipy.stats import mannwhitneyu  # noqa: PLC0415  (slow to import)

    if not inside.any() or inside.all():
        return 1.0
    return float(mannwhitneyu(values[inside], values[~inside], alternative="greater").pvalue)


def current(view: View, target: Target) -> float | None:
    """Return the present value of the figure of a target of either kind."""
    if target.kind == "high_entropy":
        if view.student is None or view.pool is None or not _fitting(view):
            return None
        texts = sample(view.pool, MOST_ROWS)
        entropy = _entropy(view.student.predict(texts))
        for one in regions(texts, view.rows, view.fields, view.inputs.language):
            if one.name == target.slice:
                return float(entropy[one.members].mean())
        return None
    for source, texts, fields in _sources(view):
        for one in regions(texts, view.rows, fields, view.inputs.language):
            if f"{source}: {one.name}" == target.slice:
                return float(one.rows.mean())
    return None


def note(view: View) -> str | None:
    """Return why a student's entropy is not looked at, although there are unlabeled texts."""
    if view.pool is None:
        return None
    off = "A student's entropy on the unlabeled texts is not looked at: "
    if view.student is None:
        return f"{off}the rows need one label each out of a fixed set, and enough rows of each."
    if not _fitting(view):
        lacking = [n for n in view.fields if n not in view.pool.columns or not view.pool[n].count()]
        return f"{off}they lack {', '.join(lacking)}."
    return None if _judges(view) else f"{off}a student of this set is no better than chance."
