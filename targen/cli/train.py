"""`targen train`: fine-tunes a transformer on the rows of tasks (needs the extra `train`)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.steps import CORRECTED_SET
from targen.tasks.answers import ONE_LABEL

if TYPE_CHECKING:
    import polars as pl

    from targen.training.examples import Format
    from targen.training.study import Score

_FORMATS: Final[dict[str, "Format"]] = {
    "classification": "classification",
    "classes": "classification",
    "instruction": "instruction",
    "instructions": "instruction",
}
_UNITS: Final = {"accuracy": "right", "f1": "F1", "bits": "bits"}


@app.command()
@report_errors
def train(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK...",
            help="The tasks to train on. Several are mixed and train one model.",
        ),
    ],
    model: Annotated[str, typer.Option(help="A model on the Hugging Face hub, or a local folder.")],
    gold: Annotated[
        Path | None,
        typer.Option(
            help="Gold rows to test on, for one task; by default each task's own reference."
        ),
    ] = None,
    pretrain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Also train on the set of this task first, and compare. Can be repeated.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            "--style",
            help="classification (adds a head; or: classes) or instruction (generates the answer; "
            "or: instructions).",
        ),
    ] = "classification",
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of training runs with different seeds.")
    ] = 3,
    epochs: Annotated[float, typer.Option(min=0.01, help="Training epochs.")] = 3.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per training step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Learning rate.")] = 5e-5,
    max_tokens: Annotated[int, typer.Option(min=8, help="Longer prompts are truncated.")] = 512,
    output: Annotated[Path | None, typer.Option(help="JSON file to write the figures to.")] = None,
) -> None:
    """Fine-tune a transformer on the sets and on gold rows, and compare them on gold rows.

    For one task with class labels, also measures V-information. Needs the extra `train`. Uses the
    best available device.
    """
    if form not in _FORMATS:
        raise TargenError(f"--format {form!r}: it must be classification or instruction.")
    if len(set(tasks)) < len(tasks):
        raise TargenError("A task is named twice. Name each task once.")
    if gold is not None and len(tasks) > 1:
        raise TargenError(
            f"--gold {gold} is one file for {len(tasks)} tasks. Put one file per task (rte.jsonl) "
            "into a folder and name it in TARGEN_REFERENCES_DIR."
        )
    before = list(pretrain or ())
    from targen.files import write_file  # noqa: PLC0415
    from targen.tasks import references  # noqa: PLC0415 - a quick command needs none
    from targen.training import study  # noqa: PLC0415 - PyTorch
    from targen.training.examples import check_scorable  # noqa: PLC0415
    from targen.training.finetune import Fit  # noqa: PLC0415

    fit = Fit(model, _FORMATS[form], epochs, batch_size, learning_rate, max_tokens)
    several = len(tasks) > 1 or bool(before)
    specs = [base.task(task) for task in tasks]
    for spec in specs:
        check_scorable(spec)
    scores: list[Score] = []
    known = [references.of(spec, gold).rows for spec in specs]
    lacking = [spec.name for spec, rows in zip(specs, known, strict=True) if rows is None]
    if not lacking:
        data = [
            study.TaskRows(spec, _rows(spec.name), rows)
            for spec, rows in zip(specs, known, strict=True)
            if rows is not None
        ]
        earlier = [(base.task(name), _rows(name)) for name in before]
        scores = study.utility(data, fit, seeds, earlier)
    elif several:
        raise TargenError(
            f"{', '.join(lacking)}: no gold rows to test on. Name a `reference` in the task, or "
            "give gold rows with --gold."
        )
    else:
        typer.echo(f"{tasks[0]} has no gold rows to test on. Give some with --gold.")
    if not several and specs[0].answer.kind in ONE_LABEL:
        scores.append(study.v_information(specs[0], _rows(tasks[0]), fit))
    for line in _lines(scores, several):
        typer.echo(line)
    if output is not None:
        made = {
            "task": ", ".join(tasks),
            "tasks": tasks,
            "pretrain": before,
            "fit": asdict(fit),
            "scores": [asdict(score) for score in scores],
        }
        write_file(output, f"{json.dumps(made, indent=2)}\n".encode(), "--output")


def _rows(task: str) -> "pl.DataFrame":
    return base.tables().read(CORRECTED_SET, task).table


def _lines(scores: Sequence["Score"], several: bool) -> list[str]:
    """Return one line per result, with the task if there are several."""
    width = max([16, *(len(score.name) for score in scores)])
    lines = []
    for score in scores:
        task = f"{score.task:<24} " if several else ""
        bounds = "" if score.low is None else f" ({score.low:.3f} to {score.high:.3f})"
        lines.append(
            f"{task}{score.name:<{width}} {score.value:.3f} {_UNITS[score.metric]}{bounds}, "
            f"trained on {score.rows:,} rows, measured on {score.tested:,}"
        )
    return lines
