"""Quality reports of rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from targen.api.generation import Generated
from targen.api.notebook import framed, waited
from targen.api.tasks import Task, load_task
from targen.cli import base
from targen.errors import TableError

if TYPE_CHECKING:
    from targen.quality.inputs import ReportInputs
    from targen.quality.report import Report


@dataclass(frozen=True)
class QualityReport:
    """A quality report; a notebook shows its page.

    Attributes:
        made: the computed report.
    """

    made: "Report" = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """Everything that the page shows, JSON-like."""
        return self.made.json

    @property
    def figures(self) -> pl.DataFrame:
        """All figures: one row per metric and slice."""
        return self.made.table

    @property
    def faults(self) -> pl.DataFrame:
        """The rows that have a fault, and which it is."""
        return self.made.marked

    @property
    def verdict(self) -> str:
        """The verdict in one sentence or two."""
        return str(self.json["verdict"]["text"])

    @property
    def findings(self) -> list[str]:
        """What needs attention, most important first."""
        return [str(one["text"]) for one in self.json["findings"]]

    def value(self, metric: str, slice: str = "all") -> float | None:  # noqa: A002
        """Return one figure; None if it is absent or unknown."""
        return self.made.value(metric, slice)

    def html(self) -> str:
        """Return the page: self-contained HTML without script."""
        from targen.cli.report import today  # noqa: PLC0415 - only for the page
        from targen.quality import first_screen, page  # noqa: PLC0415

        return page.render(self.made, first_screen.Origin(today()))

    def write(self, path: str | Path) -> None:
        """Write the page to a file.

        Raises:
            TableError: the file cannot be written.
        """
        from targen.files import write_file  # noqa: PLC0415

        write_file(Path(path), self.html().encode(), "path")

    def __repr__(self) -> str:
        return f"<report: {self.json['verdict']['short']}>"

    def _repr_html_(self) -> str:
        return framed(self.html())


def report(
    data: Generated | pl.DataFrame | str | Path,
    *,
    task: Task | None = None,
    text: str | Sequence[str] = (),
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    language: str | None = None,
    reference: str | Path | None = None,
) -> QualityReport:
    """Measure the quality of rows.

    Args:
        data: the result of `generate`, a Polars frame, or the path of a Parquet, JSON, CSV or TSV
            file.
        task: the task of the rows, see `load_task`; it may be for reports only. The result of
            `generate` has its own.
        text: without a task, the columns with text.
        label: the column of the label; by default `label`, if there is one.
        columns: field of the task, or `label` -> its column.
        labels: label of the task -> its value in the rows.
        language: without a task, the ISO 639-1 code of the texts, such as `de`; English by default.
        reference: file of gold rows to compare with.

    Raises:
        SpecError: the task is wrong.
        TableError: the rows cannot be read, or do not match the task.
    """
    names = (text,) if isinstance(text, str) else tuple(text)
    if isinstance(data, Generated):
        if task or names or label or columns or labels or language or reference:
            raise TableError("The result of `generate` contains its task; give no other argument.")
        return QualityReport(waited(_measured_of(data)))
    if task is not None and (names or language):
        raise TableError("Give `task`, or `text` with `label` and `language`, not both.")
    with _in_python():
        inputs = _inputs(data, task, names, label, columns, labels, language, reference)
        from targen.cli.report import measured  # noqa: PLC0415 - slow to import

        return QualityReport(waited(measured(inputs)))


def _inputs(
    data: pl.DataFrame | str | Path,
    task: Task | None,
    text: tuple[str, ...],
    label: str | None,
    columns: Mapping[str, str] | None,
    labels: Mapping[str, str] | None,
    language: str | None,
    reference: str | Path | None,
) -> "ReportInputs":
    from targen.cli.report import Options, of_rows  # noqa: PLC0415 - slow to import
    from targen.tasks import import_files  # noqa: PLC0415

    options = Options(
        # The command line has them in the order of the file.
        columns={column: name for name, column in (columns or {}).items()},
        labels={str(value): name for name, value in (labels or {}).items()},
        label=label,
        text=text,
        language=language,
    )
    if task is None and not text:
        raise TableError('Name the columns with text, such as text=["subject", "body"], or a task.')
    if isinstance(data, pl.DataFrame):
        file, read = Path("frame"), import_files.of_frame("the frame", data)
        if not data.height:
            raise TableError("The frame has no rows.")
    elif isinstance(data, str | Path):
        file = Path(data)
        read = import_files.read(file)
    else:
        raise TableError(
            "A report takes a Polars frame, the path of a file or the result of `generate`, not "
            f"{type(data).__module__}.{type(data).__name__}."
        )
    spec = None if task is None else load_task(task)
    gold = None if reference is None else Path(reference)
    return of_rows(read, file, spec, gold, options)


async def _measured_of(data: Generated) -> "Report":
    from targen.cli.report import measured  # noqa: PLC0415 - slow to import
    from targen.quality import own_tables  # noqa: PLC0415

    with closing(base.store()) as store:
        inputs = own_tables.gather(data.task, data.steps, store)
    return await measured(inputs)


@contextmanager
def _in_python() -> Iterator[None]:
    """Name arguments instead of the command line's options in errors."""
    try:
        yield
    except TableError as error:
        raise TableError(re.sub(r"--(text|label|column|language)\b", r"`\1`", str(error))) from None
