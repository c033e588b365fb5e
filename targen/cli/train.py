"""`targen train`: fine-tunes a transformer on a task's rows (needs the extra `train`)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.steps import CORRECTED_SET


@app.command()
@report_errors
def train(
    task: Annotated[str, typer.Argument(help="The task to train on.")],
    model: Annotated[str, typer.Option(help="A model on the Hugging Face hub, or a local folder.")],
    gold: Annotated[
        Path | None,
        typer.Option(help="Gold rows to test on; by default the task's own reference."),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="classification (adds a head) or instruction (generates the label)."
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
    """Fine-tune a transformer on the set and on gold rows, and compare them on gold rows.

    Also measures V-information. Needs the extra `train`. Uses the best available device.
    """
    if form not in ("classification", "instruction"):
        raise TargenError(f"--format {form!r}: it must be classification or instruction.")
    from targen.tables.storage import write_file  # noqa: PLC0415
    from targen.tasks import references  # noqa: PLC0415 - a quick command needs none
    from targen.training import study  # noqa: PLC0415 - PyTorch
    from targen.training.finetune import Fit  # noqa: PLC0415

    spec = base.task(task)
    rows = base.tables().read(CORRECTED_SET, task).table
    known = references.of(spec, gold)
    fit = Fit(
        model=model,
        form=cast(Literal["classification", "instruction"], form),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_tokens=max_tokens,
    )
    scores = [study.v_information(spec, rows, fit)]
    if known.rows is None:
        typer.echo(f"{task} has no gold rows to test on. Give some with --gold.")
    else:
        scores = [*study.utility(spec, rows, known.rows, fit, seeds), *scores]
    for score in scores:
        unit = "bits" if score.name == "v_information" else "right"
        typer.echo(
            f"{score.name:<16} {score.value:.3f} {unit} ({score.low:.3f} to {score.high:.3f}), "
            f"trained on {score.rows:,} rows, measured on {score.tested:,}"
        )
    if output is not None:
        made = {"task": task, "fit": asdict(fit), "scores": [asdict(score) for score in scores]}
        write_file(output, f"{json.dumps(made, indent=2)}\n".encode(), "--output")
