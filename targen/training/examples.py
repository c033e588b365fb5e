"""Rows of a task as input of a transformer, and how its answers are scored."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from targen.errors import TargenError
from targen.release.instructions import conversations
from targen.tasks.answers import ONE_LABEL
from targen.tasks.spec import TaskSpec

Format = Literal["classification", "instruction"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True)
class Examples:
    """Rows of one task.

    Attributes:
        task: its name. Examples of several tasks are kept apart by it.
        prompts: one text per row.
        labels: index of each row's answer among its candidates.
        names: the candidates of all rows: the task's labels. Empty if each row has its own.
        options: the candidates of each row, if they differ.
    """

    task: str
    prompts: Sequence[str]
    labels: Sequence[int]
    names: Sequence[str] = ()
    options: Sequence[Sequence[str]] = ()

    def __len__(self) -> int:
        return len(self.prompts)

    def candidates(self, row: int) -> Sequence[str]:
        """Return the texts that a row's answer is chosen from."""
        return self.names or self.options[row]

    def some(self, rows: Iterable[int]) -> "Examples":
        """Return these rows, in this order."""
        kept = [int(row) for row in rows]
        return replace(
            self,
            prompts=[self.prompts[row] for row in kept],
            labels=[self.labels[row] for row in kept],
            options=[self.options[row] for row in kept] if self.options else (),
        )

    def without_text(self) -> "Examples":
        """Return these rows with empty prompts."""
        return replace(self, prompts=[""] * len(self.prompts))


def examples(spec: TaskSpec, rows: pl.DataFrame, form: Format) -> Examples:
    """Return a task's rows as input of a transformer.

    In the classification format, a prompt has the row's fields. In the instruction format, it is
    the conversation of `targen export --format instructions` up to the answer, so that the rows of
    several tasks can be mixed. Rows without a label, and rows whose label is not among their
    candidates, are left out.

    Raises:
        TargenError: the task's answers cannot be scored: it has several labels per row, or none.
    """
    answer = spec.answer
    if answer.kind in ONE_LABEL:
        names = list(spec.labels)
        known = rows.drop_nulls("label").filter(pl.col("label").is_in(names))
        return Examples(
            spec.name,
            [prompt for prompt, _ in _turns(spec, known, form)],
            [names.index(label) for label in known["label"]],
            names,
        )
    if answer.kind == "span" and answer.choices:
        known = rows.drop_nulls(["label", answer.choices])
        known = known.filter(pl.col("label").is_in(pl.col(answer.choices)))
        options = [[str(one) for one in listed] for listed in known[answer.choices]]
        labels = [
            listed.index(label) for listed, label in zip(options, known["label"], strict=True)
        ]
        prompts = [prompt for prompt, _ in _turns(spec, known, form)]
        return Examples(spec.name, prompts, labels, (), options)
    raise TargenError(_unscorable(spec))


def check_scorable(spec: TaskSpec) -> None:
    """Check that a task's answers can be scored.

    Raises:
        TargenError: it has several labels per row, or none.
    """
    if spec.answer.kind not in (*ONE_LABEL, "span"):
        raise TargenError(_unscorable(spec))


def _unscorable(spec: TaskSpec) -> str:
    what = "several labels per row" if spec.answer.kind == "multi" else "no answers"
    return (
        f"{spec.name} has {what} and cannot be scored. Choose tasks with one label per row or with "
        "options to choose from, or use it with --pretrain and --format instruction."
    )


def texts_to_write(spec: TaskSpec, rows: pl.DataFrame, form: Format) -> Examples:
    """Return rows for training before fine-tuning, which also takes answers that are not scored.

    Raises:
        TargenError: the task has no single answer per row, and the format is not `instruction`.
    """
    if spec.answer.kind in (*ONE_LABEL, "span"):
        return examples(spec, rows, form)
    if form != "instruction":
        raise TargenError(
            f"{spec.name}: its answers are of kind {spec.answer.kind}, which a classifier cannot "
            "learn. Add --format instruction, which trains a model to write them."
        )
    known = rows if spec.answer.kind == "none" else rows.drop_nulls("label")
    turns = _turns(spec, known, form)
    options = [[written] for _, written in turns]
    return Examples(spec.name, [prompt for prompt, _ in turns], [0] * len(turns), (), options)


def _turns(spec: TaskSpec, rows: pl.DataFrame, form: Format) -> list[tuple[str, str]]:
    """Return the prompt and the written answer of each row."""
    # The wording of an instruction is chosen by the row's id, which gold rows may lack.
    if "instance_id" not in rows.columns:
        rows = rows.with_row_index("instance_id").cast({"instance_id": pl.String})
    found = []
    for made in conversations(spec, rows):
        system, user, written = (turn["content"] for turn in made["messages"])
        whole = f"{system}\n\n{user}\n\nAnswer:"
        found.append((user if form == "classification" else whole, written))
    return found


def overlap_f1(guess: str, gold: str) -> float:
    """Return the F1 of the words of two answers, 0 to 1.

    Case, punctuation and articles do not count. Source: Rajpurkar et al., 2016, SQuAD, section 6.1;
    ReCoRD (Zhang et al., 2018, section 5.2) uses the same.
    """
    first, second = _words(guess), _words(gold)
    common = (first & second).total()
    if not first or not second:
        return float(first == second)
    return 2 * common / (first.total() + second.total())


def _words(text: str) -> Counter[str]:
    bare = "".join(letter for letter in text.casefold() if letter not in string.punctuation)
    return Counter(_ARTICLES.sub(" ", bare).split())
