"""Compares what a transformer learns from the set and from gold rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import TargenError
from targen.quality.intervals import bootstrap_mean
from targen.quality.text import generator
from targen.quality.utility import summary
from targen.release.instructions import conversations
from targen.tasks.spec import TaskSpec
from targen.training.finetune import Examples, Fit, Tuned

SEEDS = 3
"""Default number of seeds."""

FEWEST = 8
"""Minimum number of rows to train on."""


@dataclass(frozen=True)
class Score:
    """A result of a study.

    Attributes:
        name: name of the result.
        value: accuracy (0 to 1), or bits.
        low, high: 95% interval over seeds and rows.
        rows: number of training rows.
        tested: number of test rows.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    rows: int
    tested: int


def examples(spec: TaskSpec, rows: pl.DataFrame, fit: Fit) -> Examples:
    """Return a task's rows as input of a transformer.

    In the classification format, a prompt has the row's fields; in the instruction format, it is
    the conversation of `targen export --format instructions` up to the answer.

    Raises:
        TargenError: the task's answers are not class labels.
    """
    if spec.answer.kind != "class":
        raise TargenError(
            f"{spec.name}: its answers are of kind {spec.answer.kind}; a classifier needs "
            "class labels."
        )
    names = list(spec.labels)
    known = rows.drop_nulls("label").filter(pl.col("label").is_in(names))
    # The wording of an instruction is chosen by the row's id, which gold rows may lack.
    if "instance_id" not in known.columns:
        known = known.with_row_index("instance_id").cast({"instance_id": pl.String})
    prompts = []
    for made in conversations(spec, known):
        system, user, _ = (turn["content"] for turn in made["messages"])
        prompts.append(user if fit.form == "classification" else f"{system}\n\n{user}\n\nAnswer:")
    return Examples(prompts, [names.index(label) for label in known["label"]], names)


def utility(
    spec: TaskSpec, rows: pl.DataFrame, gold: pl.DataFrame, fit: Fit, seeds: int = SEEDS
) -> list[Score]:
    """Train on the set and on gold rows, at equal sizes, and test both on held-out gold rows.

    Args:
        spec: the task.
        rows: the set, with a column per field and `label`.
        gold: gold rows with the same columns; a random half is for training, the other for testing.
        fit: the model and its training settings.
        seeds: number of repetitions.

    Returns:
        Accuracy of `set to gold` and `gold to gold`, each with a two-stage bootstrap interval.

    Raises:
        TargenError: there are too few rows, or the model cannot be trained on them.
    """
    set_, gold_ = examples(spec, rows, fit), examples(spec, gold, fit)
    size = min(len(set_.labels), len(gold_.labels) // 2)
    if size < FEWEST:
        raise TargenError(
            f"{spec.name}: {len(set_.labels)} rows and {len(gold_.labels)} gold rows are too few "
            f"to train on. At least {FEWEST} and {2 * FEWEST} are needed."
        )
    right: dict[str, list[npt.NDArray[np.int64]]] = {"set to gold": [], "gold to gold": []}
    for seed in range(seeds):
        order = _order(len(gold_.labels), "gold", seed)
        test, trained = _some(gold_, order[size:]), _some(gold_, order[:size])
        drawn = _some(set_, _order(len(set_.labels), "set", seed)[:size])
        for name, part in (("set to gold", drawn), ("gold to gold", trained)):
            guess = Tuned(fit, part, seed).log_probabilities(test.prompts).argmax(axis=1)
            right[name].append((guess == np.array(test.labels)).astype(np.int64))
    scores = []
    for name, results in right.items():
        value, low, high = summary(results, name)
        scores.append(Score(name, value, low, high, size, sum(r.size for r in results)))
    return scores


def v_information(spec: TaskSpec, rows: pl.DataFrame, fit: Fit) -> Score:
    """Return the V-information of the set in bits, where V is the fine-tuned model.

    Mean over rows of log2 g[x](y) - log2 g[](y), with g trained with and without the text, held out
    in two folds. Source: Ethayarajh et al. 2022.

    Raises:
        TargenError: there are too few rows, or the model cannot be trained on them.
    """
    set_ = examples(spec, rows, fit)
    count = len(set_.labels)
    if count < 2 * FEWEST:
        raise TargenError(f"{spec.name}: {count} rows are too few; {2 * FEWEST} are needed.")
    order = _order(count, "folds", 0)
    folds = (order[: count // 2], order[count // 2 :])
    bits = np.empty(count)
    for seed, (held, trained) in enumerate((folds, folds[::-1])):
        part, test = _some(set_, trained), _some(set_, held)
        given = _own(Tuned(fit, part, seed).log_probabilities, test)
        none = _own(Tuned(fit, _blind(part), seed).log_probabilities, _blind(test))
        bits[held] = (given - none) / np.log(2)
    low, high = bootstrap_mean(bits, "v_information", spec.name)
    return Score("v_information", float(bits.mean()), low, high, count // 2, count)


def _own(
    scores: Callable[[Sequence[str]], npt.NDArray[np.float64]], part: Examples
) -> npt.NDArray[np.float64]:
    own: npt.NDArray[np.float64] = scores(part.prompts)[np.arange(len(part.labels)), part.labels]
    return own


def _blind(part: Examples) -> Examples:
    return Examples([""] * len(part.prompts), part.labels, part.names)


def _some(part: Examples, numbers: npt.NDArray[np.int64]) -> Examples:
    return Examples(
        [part.prompts[i] for i in numbers], [part.labels[i] for i in numbers], part.names
    )


def _order(count: int, *content: object) -> npt.NDArray[np.int64]:
    return generator("training", count, *content).permutation(count)
