"""Writes `targen export`: the finished rows of a task or a mixture, as a folder of files.

Each export overwrites the previous one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import polars as pl

from targen.errors import TableError, TargenError
from targen.release import instructions, superglue
from targen.release.rows import finished, json_lines
from targen.release.splits import divide, mix
from targen.steps import CORRECTED_SET, INSTANCES, QUALITY_REPORT
from targen.tables.files import Tables
from targen.tables.storage import LocalStorage
from targen.tasks.spec import TaskSpec

Form = Literal["superglue", "instructions", "parquet", "jsonl"]
FORMS: Final[tuple[Form, ...]] = ("superglue", "instructions", "parquet", "jsonl")
WHOLE: Final = "all"
"""Name of the one file where rows are not divided."""
SOURCES: Final = "sources"
"""Folder of the files that say, line by line, which row a line is; for forms without ids."""
MIXTURE: Final = "mixture"

_NAMES: Final = {WHOLE, *superglue.FILES, *superglue.FILES.values()}
_OURS: Final = frozenset(
    [f"{name}.{suffix}" for name in _NAMES for suffix in ("jsonl", "parquet")]
    + [f"{SOURCES}/{name}.jsonl" for name in _NAMES]
    + [f"{f.folder}/{name}.jsonl" for f in superglue.FORMATS.values() for name in _NAMES]
)
"""Every file that an export may write into the folder of a task: nothing else is removed."""

Parts = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        rows: file, relative to the folder -> rows in it.
        simulated: tasks whose rows the embedded demonstration model made.
    """

    folder: Path
    rows: dict[str, int]
    simulated: tuple[str, ...] = ()


def parts_of(spec: TaskSpec, tables: Tables, *, whole: bool = False) -> Parts:
    """Return split -> finished rows of a task, or all of them under one name.

    Raises:
        TableError: the task's tables are missing, of another edition of the task, or empty.
    """
    rows = finished(spec, tables.read(CORRECTED_SET, spec.name).table)
    if not rows.height:
        raise TableError(
            f"The corrected set of {spec.name} has no row: there is nothing to export."
        )
    if whole:
        return {WHOLE: rows}
    return divide(spec, rows, tables.read(INSTANCES, spec.name).table)


def export(
    spec: TaskSpec, tables: Tables, form: Form, out: Path, *, whole: bool = False
) -> Exported:
    """Write the finished rows of one task below `out/<task>` and say what was written.

    Raises:
        TableError: the tables are missing, or the folder cannot be written.
        TargenError: the task has no such form.
    """
    if form == "superglue":
        superglue.format_of(spec)
    parts = parts_of(spec, tables, whole=whole)
    made, counts = _files(spec, form, parts)
    return _put(out / spec.name, made, counts, _simulated([spec], tables))


def export_mixture(
    specs: Sequence[TaskSpec],
    tables: Tables,
    out: Path,
    *,
    weights: Sequence[float] | None = None,
    rows: int | None = None,
    seed: int = 0,
    whole: bool = False,
) -> Exported:
    """Write conversations of several tasks, mixed, below `out/mixture`.

    Each split is mixed by itself, so that no row leaves its split.

    Args:
        specs: the tasks.
        tables: where their rows are.
        out: the folder.
        weights: share of each task, in any unit.
        rows: rows of the training split, or of the whole; by default as many as there can be.
        seed: another seed, another choice and order.
        whole: do not divide into splits.

    Raises:
        TableError: tables are missing, or the folder cannot be written.
        TargenError: a task has not enough rows.
    """
    parts = {spec.name: parts_of(spec, tables, whole=whole) for spec in specs}
    by_task = None
    if weights is not None:
        by_task = {spec.name: weight for spec, weight in zip(specs, weights, strict=True)}
    made: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    names = [name for name in (WHOLE, *superglue.FILES) if any(name in p for p in parts.values())]
    for name in names:
        frames = {task: split[name] for task, split in parts.items() if name in split}
        if by_task is not None and len(frames) < len(specs):
            # A task too small for this split would leave the others with wrong shares of it.
            continue
        limit = rows if name in (WHOLE, "train") else None
        ids = {task: frame["instance_id"].to_list() for task, frame in frames.items()}
        drawn = mix(ids, by_task, limit, seed)
        talks = {
            spec.name: list(instructions.conversations(spec, frames[spec.name]))
            for spec in specs
            if spec.name in frames
        }
        made[f"{name}.jsonl"] = json_lines(talks[task][number] for task, number in drawn)
        made[f"{SOURCES}/{name}.jsonl"] = json_lines(
            {"task": task, "instance_id": ids[task][number]} for task, number in drawn
        )
        counts[f"{name}.jsonl"] = len(drawn)
    return _put(out / MIXTURE, made, counts, _simulated(specs, tables))


def _files(spec: TaskSpec, form: Form, parts: Parts) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return path -> content, and path -> rows of those that hold rows."""
    if form == "parquet":
        made = {f"{name}.parquet": parquet(part) for name, part in parts.items()}
        return made, {f"{name}.parquet": part.height for name, part in parts.items()}
    if form == "jsonl":
        made = {f"{name}.jsonl": json_lines(p.iter_rows(named=True)) for name, p in parts.items()}
        return made, {f"{name}.jsonl": part.height for name, part in parts.items()}
    if form == "superglue":
        lines = superglue.files(spec, parts)
        one_file = superglue.format_of(spec).one_file
        groups = [pl.concat(list(parts.values()))] if one_file else list(parts.values())
        sources = dict(zip(lines, groups, strict=True))
        made = {path: json_lines(rows) for path, rows in lines.items()}
        counts = {path: len(rows) for path, rows in lines.items()}
    else:
        sources = {f"{name}.jsonl": part for name, part in parts.items()}
        made = {
            path: json_lines(instructions.conversations(spec, part))
            for path, part in sources.items()
        }
        counts = {path: part.height for path, part in sources.items()}
    for path, part in sources.items():
        ids = ({"task": spec.name, "instance_id": row_id} for row_id in part["instance_id"])
        made[f"{SOURCES}/{Path(path).name}"] = json_lines(ids)
    return made, counts


def parquet(rows: pl.DataFrame) -> bytes:
    """Return rows as a Parquet file; equal rows give equal bytes with one release of Polars."""
    buffer = BytesIO()
    # All that Polars would choose by itself, so that it is the same everywhere.
    rows.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=3,
        statistics=True,
        row_group_size=100_000,
        data_page_size=1 << 20,
    )
    return buffer.getvalue()


def _put(
    folder: Path, made: Mapping[str, bytes], counts: dict[str, int], simulated: tuple[str, ...]
) -> Exported:
    """Write the files, and remove what an earlier export left beside them."""
    place = LocalStorage(str(folder), "--output")
    for path, content in made.items():
        place.write(path, content)
    # An older split beside the new ones would hold rows that are now in another.
    for key in set(place.keys("")) & _OURS - made.keys():
        place.delete(key)
    return Exported(folder, counts, simulated)


def _simulated(specs: Sequence[TaskSpec], tables: Tables) -> tuple[str, ...]:
    found = []
    for spec in specs:
        report = tables.read_json(QUALITY_REPORT, spec.name)
        if report is not None and report.get("simulated"):
            found.append(spec.name)
    return tuple(found)


def default_form(spec: TaskSpec) -> Form:
    """Return SuperGLUE's form where the task has it, else JSON lines, which every task has."""
    try:
        superglue.format_of(spec)
    except TargenError:
        return "jsonl"
    return "superglue"


def form_named(name: str) -> Form:
    """Return the form of this name.

    Raises:
        TargenError: there is none.
    """
    for form in FORMS:
        if form == name:
            return form
    raise TargenError(f"There is no format {name!r}: choose one of {', '.join(FORMS)}.")
