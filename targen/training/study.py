"""Compares what a transformer learns from the sets and from gold rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import TargenError
from targen.quality.intervals import held_out_mean
from targen.quality.text import generator
from targen.quality.utility import summary
from targen.tasks.spec import TaskSpec
from targen.training.examples import Examples, examples, overlap_f1, texts_to_write
from targen.training.finetune import Fit, Tuned

SEEDS = 3
"""Default number of seeds."""

FEWEST = 8
"""Minimum number of rows to train on."""

DIFFERENCE = "set minus gold"
"""`Score.name` of the accuracy after training on the set minus that after training on gold rows."""

MEAN = "mean of tasks"
"""`Score.task` of the mean over several tasks."""

Metric = Literal["accuracy", "f1", "bits"]


@dataclass(frozen=True)
class Score:
    """A result of a study.

    Attributes:
        name: name of the result.
        value: accuracy or F1 (0 to 1), or bits.
        low, high: 95% interval over seeds and rows; None for a mean of tasks.
        rows: number of training rows of the task.
        tested: number of test rows.
        task: the task that was tested.
        metric: what `value` is.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    rows: int
    tested: int
    task: str = ""
    metric: Metric = "accuracy"


@dataclass(frozen=True)
class TaskRows:
    """A task with its rows.

    Attributes:
        spec: the task.
        rows: the set, with a column per field and `label`.
        gold: gold rows with the same columns; a random half is for training, the other for testing.
    """

    spec: TaskSpec
    rows: pl.DataFrame
    gold: pl.DataFrame


@dataclass(frozen=True)
class _Data:
    """The rows of a task, and how many of them each model is trained on."""

    set: Examples
    gold: Examples
    size: int


def utility(
    tasks: Sequence[TaskRows],
    fit: Fit,
    seeds: int = SEEDS,
    pretrain: Sequence[tuple[TaskSpec, pl.DataFrame]] = (),
) -> list[Score]:
    """Train on the sets and on gold rows, at equal sizes, and test both on held-out gold rows.

    The rows of several tasks are mixed and train one model, which is tested on each task
    (multi-task learning). With `pretrain`, a second pair of models is first trained on the sets of
    those tasks (pre-finetuning, or intermediate-task training: Phang et al., 2018).

    Args:
        tasks: the tasks to train and test on, each once.
        fit: the model and its training settings.
        seeds: number of repetitions.
        pretrain: tasks to train on before, with their sets.

    Returns:
        For each task the accuracy of `set to gold` and `gold to gold` and their difference on the
        same rows; with `pretrain` also `pretrained, set to gold` and `pretrained, gold to gold`.
        `targen.quality.utility.summary` describes the intervals. Tasks whose rows have their own
        candidates also get the F1 score of the words. For several tasks, the means of their
        accuracies come last.

    Raises:
        TargenError: there are too few rows, or the model cannot be trained on them.
    """
    data = [_data(task, fit) for task in tasks]
    before = [texts_to_write(spec, rows, fit.form) for spec, rows in pretrain]
    for part in before:
        if len(part) < FEWEST:
            raise TargenError(
                f"{part.task}: {len(part)} rows are too few to train on. {FEWEST} are needed."
            )
    results: dict[tuple[str, str, Metric], list[npt.NDArray[np.float64]]] = {}
    held: dict[str, list[npt.NDArray[np.int64]]] = {one.set.task: [] for one in data}
    for seed in range(seeds):
        drawn, trained, tests = [], [], []
        for one in data:
            order = _order(len(one.gold), "gold", seed)
            tests.append(one.gold.some(order[one.size :]))
            held[one.set.task].append(order[one.size :])
            trained.append(one.gold.some(order[: one.size]))
            drawn.append(one.set.some(_order(len(one.set), "set", seed)[: one.size]))
        first = Tuned(fit, before, seed, later=drawn) if before else None
        for name, parts in (("set to gold", drawn), ("gold to gold", trained)):
            models = {name: Tuned(fit, parts, seed)}
            if first is not None:
                models[f"pretrained, {name}"] = first.trained_on(parts, seed)
            for called, model in models.items():
                for test in tests:
                    for metric, found in _scored(model, test).items():
                        results.setdefault((test.task, called, metric), []).append(found)
    sizes = {one.set.task: one.size for one in data}
    scores = []
    for task in sizes:
        pair = [results[task, name, "accuracy"] for name in ("set to gold", "gold to gold")]
        results[task, DIFFERENCE, "accuracy"] = [a - b for a, b in zip(*pair, strict=True)]
    for (task, name, metric), found_ in results.items():
        extremes = (-1.0 if name == DIFFERENCE else 0.0, 1.0)
        value, low, high = summary(found_, held[task], sizes[task], extremes)
        tested = sum(result.size for result in found_)
        scores.append(Score(name, value, low, high, sizes[task], tested, task, metric))
    order_ = list(sizes)
    scores.sort(key=lambda score: order_.index(score.task))
    return scores + (_means(scores) if len(tasks) > 1 else [])


def _data(task: TaskRows, fit: Fit) -> _Data:
    spec = task.spec
    set_, gold = (examples(spec, rows, fit.form) for rows in (task.rows, task.gold))
    size = min(len(set_), len(gold) // 2)
    if size < FEWEST:
        raise TargenError(
            f"{spec.name}: {len(set_)} rows and {len(gold)} gold rows are too few "
            f"to train on. At least {FEWEST} and {2 * FEWEST} are needed."
        )
    return _Data(set_, gold, size)


def _scored(model: Tuned, test: Examples) -> dict[Metric, npt.NDArray[np.float64]]:
    """Return each metric of each row."""
    guesses = model.choices(test)
    found: dict[Metric, npt.NDArray[np.float64]] = {
        "accuracy": (guesses == np.array(test.labels)).astype(np.float64)
    }
    if test.options:
        pairs = zip(test.options, guesses, test.labels, strict=True)
        found["f1"] = np.array([overlap_f1(texts[g], texts[k]) for texts, g, k in pairs])
    return found


def _means(scores: Sequence[Score]) -> list[Score]:
    """Return the mean accuracy over the tasks, one for each name."""
    by_name: dict[str, list[Score]] = {}
    for score in scores:
        if score.metric == "accuracy":
            by_name.setdefault(score.name, []).append(score)
    return [
        Score(
            name,
            float(np.mean([score.value for score in found])),
            None,
            None,
            sum(score.rows for score in found),
            sum(score.tested for score in found),
            MEAN,
        )
        for name, found in by_name.items()
    ]


def v_information(spec: TaskSpec, rows: pl.DataFrame, fit: Fit) -> Score:
    """Return the V-information of the set in bits, where V is the fine-tuned model.

    Mean over rows of log2 g[x](y) - log2 g[](y), with g trained with and without the text, held out
    in two folds. Source: Ethayarajh et al. 2022.

    Raises:
        TargenError: there are too few rows, or the model cannot be trained on them.
    """
    set_ = examples(spec, rows, fit.form)
    count = len(set_)
    if count < 2 * FEWEST:
        raise TargenError(f"{spec.name}: {count} rows are too few; {2 * FEWEST} are needed.")
    order = _order(count, "folds", 0)
    folds = (order[: count // 2], order[count // 2 :])
    bits = np.empty(count)
    for seed, (held, trained) in enumerate((folds, folds[::-1])):
        part, test = set_.some(trained), set_.some(held)
        given = _own(Tuned(fit, [part], seed), test)
        none = _own(Tuned(fit, [part.without_text()], seed), test.without_text())
        bits[held] = (given - none) / np.log(2)
    low, high = held_out_mean(bits, len(folds))
    mean = float(bits.mean())
    return Score("v_information", mean, low, high, count // 2, count, spec.name, "bits")


def _own(model: Tuned, part: Examples) -> npt.NDArray[np.float64]:
    """Return the log-probability of each row's label."""
    scores = model.log_probabilities(part)
    return np.array([row[label] for row, label in zip(scores, part.labels, strict=True)])


def _order(count: int, *content: object) -> npt.NDArray[np.int64]:
    return generator("training", count, *content).permutation(count)
