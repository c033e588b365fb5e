"""Writes `targen export`: the finished rows of a task or a mixture, as a folder of files.

Each export overwrites the previous one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final, Literal, get_args

import polars as pl

from targen.errors import TableError, TargenError
from targen.release import instructions, superglue
from targen.release.pairs import Pairs, no_pairs
from targen.release.rows import finished, json_lines, separated
from targen.release.splits import divide, mix
from targen.steps import CORRECTED_SET, INSTANCES, QUALITY_REPORT
from targen.tables.changes import replace_together
from targen.tables.files import Tables
from targen.tasks import entities
from targen.tasks.spec import TaskSpec

Form = Literal["superglue", "instructions", "preference", "parquet", "jsonl", "csv", "tsv", "bio"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
WHOLE: Final = "all"
"""Name of the file if rows are not split."""
SOURCES: Final = "sources"
"""Folder of files that map each line to its row, for formats without ids."""
MIXTURE: Final = "mixture"

_NAMES: Final = {WHOLE, *superglue.FILES, *superglue.FILES.values()}
_OURS: Final = frozenset(
    [f"{name}.{suffix}" for name in _NAMES for suffix in ("jsonl", "parquet", "csv", "tsv", "bio")]
    + [f"{SOURCES}/{name}.jsonl" for name in _NAMES]
    + [f"{f.folder}/{name}.jsonl" for f in superglue.FORMATS.values() for name in _NAMES]
)
"""Every file that an export may write into a task's folder. Others are never removed."""
README: Final = "README.md"
_WRITTEN: Final = "---\n# Written by `targen export`.\n"
"""The beginning of a README of an export; one of the user's is neither replaced nor removed."""

Parts = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Exported:
    """The written files.

    Attributes:
        folder: their folder.
        rows: file, relative to the folder -> number of rows.
        simulated: tasks whose rows were made by the simulator.
        pairs: whether the files have preference pairs instead of rows.
    """

    folder: Path
    rows: dict[str, int]
    simulated: tuple[str, ...] = ()
    pairs: bool = False


def parts_of(spec: TaskSpec, tables: Tables, *, whole: bool = False) -> Parts:
    """Return split -> finished rows of a task, or all of them under one name.

    Raises:
        TableError: the task's tables are missing, empty, or of another edition of the task.
    """
    rows = finished(spec, tables.read(CORRECTED_SET, spec.name).table)
    if not rows.height:
        raise TableError(f"The corrected set of {spec.name} has no rows to export.")
    if whole:
        return {WHOLE: rows}
    return divide(spec, rows, tables.read(INSTANCES, spec.name).table)


def export(
    spec: TaskSpec, tables: Tables, form: Form, out: Path, *, whole: bool = False
) -> Exported:
    """Write the finished rows of one task to `out/<task>`.

    Raises:
        TableError: the tables are missing, or the folder cannot be written.
        TargenError: the task does not support the format.
    """
    if form == "superglue":
        superglue.format_of(spec)
    if form == "bio" and spec.answer.kind != "spans":
        raise TargenError(f"{spec.name} has no entities: --format bio needs `answer.kind: spans`.")
    parts = parts_of(spec, tables, whole=whole)
    if form == "preference":
        made, counts = _pairs(spec, tables, parts)
    else:
        made, counts = _files(spec, form, parts)
    written = _put(out / spec.name, made, counts, _simulated([spec], tables))
    return replace(written, pairs=form == "preference")


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
    """Write a mixture of several tasks, as conversations, to `out/mixture`.

    Each split is mixed separately, so that every row stays in its split.

    Args:
        specs: the tasks.
        tables: their tables.
        out: the folder.
        weights: share of each task, in any unit.
        rows: rows of the training split, or of all without splits; by default the maximum.
        seed: seed of the selection and order.
        whole: write one file instead of splits.

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
            # Without this, a task too small for the split would distort the shares of the others.
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
    """Return path -> content, and path -> number of rows for files with rows."""
    if form == "parquet":
        made = {f"{name}.parquet": parquet(part) for name, part in parts.items()}
        return made, {f"{name}.parquet": part.height for name, part in parts.items()}
    if form == "jsonl":
        made = {f"{name}.jsonl": json_lines(p.iter_rows(named=True)) for name, p in parts.items()}
        return made, {f"{name}.jsonl": part.height for name, part in parts.items()}
    if form in ("csv", "tsv"):
        separator = "," if form == "csv" else "\t"
        made = {f"{name}.{form}": separated(part, separator) for name, part in parts.items()}
        return made, {f"{name}.{form}": part.height for name, part in parts.items()}
    if form == "bio":
        made = {f"{name}.bio": bio_lines(spec, part) for name, part in parts.items()}
        return made, {f"{name}.bio": part.height for name, part in parts.items()}
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


def bio_lines(spec: TaskSpec, rows: pl.DataFrame) -> bytes:
    """Return token and BIO tag, separated by a tab, one token a line.

    Each row begins with a comment that has its id and ends with an empty line.
    """
    lines = []
    for row_id, text, label in rows.select(
        "instance_id", spec.answer.text or "", "label"
    ).iter_rows():
        lines.append(f"# id = {row_id}")
        lines += [f"{token}\t{tag}" for token, tag in entities.bio(text, label or ())]
        lines.append("")
    return "\n".join([*lines, ""]).encode()


def _pairs(spec: TaskSpec, tables: Tables, parts: Parts) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return the files of preference pairs; a pair is in the split of its row."""
    pairs = Pairs(spec, tables)
    found = {f"{name}.jsonl": list(pairs.of(part)) for name, part in parts.items()}
    found = {path: lines for path, lines in found.items() if lines}
    if not found:
        raise no_pairs(spec)
    made = {path: json_lines(lines) for path, lines in found.items()}
    return made, {path: len(lines) for path, lines in found.items()}


def parquet(rows: pl.DataFrame) -> bytes:
    """Return rows as a Parquet file; equal rows give equal bytes under one release of Polars."""
    buffer = BytesIO()
    # Set every option that Polars would choose itself.
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
    """Write the files, and remove the files of an earlier export."""
    # Named below the user's folder, because the folder itself may be a link of someone else.
    name = folder.name
    files = {f"{name}/{path}": content for path, content in made.items()}
    # Rows of an old split may now be in another split.
    ours = [f"{name}/{path}" for path in _OURS]
    if _may_write(folder / README):
        ours.append(f"{name}/{README}")
        if any(path.startswith(f"{SOURCES}/") for path in made):
            files[f"{name}/{README}"] = _readme(counts, simulated).encode()
    replace_together(folder.parent, name, files, "targen export", ours)
    return Exported(folder, counts, simulated)


def _simulated(specs: Sequence[TaskSpec], tables: Tables) -> tuple[str, ...]:
    found = []
    for spec in specs:
        report = tables.read_json(QUALITY_REPORT, spec.name)
        if report is not None and report.get("simulated"):
            found.append(spec.name)
    return tuple(found)


def default_form(spec: TaskSpec) -> Form:
    """Return SuperGLUE's format if the task supports it, else JSON lines."""
    try:
        superglue.format_of(spec)
    except TargenError:
        return "jsonl"
    return "superglue"


def form_named(name: str) -> Form:
    """Return the format of this name.

    Raises:
        TargenError: the format is unknown.
    """
    for form in FORMS:
        if form == name:
            return form
    raise TargenError(f"Unknown format {name!r}. Choose one of {', '.join(FORMS)}.")


def _may_write(readme: Path) -> bool:
    try:
        return readme.read_bytes().startswith(_WRITTEN.encode())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _readme(counts: Mapping[str, int], simulated: Sequence[str]) -> str:
    """Return a README that tells `load_dataset` which files have rows.

    Without it, `load_dataset` would read the files in `sources` as rows, too.
    """
    splits = {name: name for name in superglue.FILES} | {"val": "validation"}
    # As `load_dataset` calls rows without splits.
    found = {path: splits.get(Path(path).stem, "train") for path in counts}
    lines = [f"      - {{split: {split}, path: {path}}}" for path, split in found.items()]
    made = f"\nMade by the simulator, not training data: {', '.join(simulated)}.\n"
    return (
        f"{_WRITTEN}configs:\n  - config_name: default\n    data_files:\n"
        + "\n".join(lines)
        + f"\n---\n\n`{SOURCES}/` has the task and the id of each line.\n"
        + (made if simulated else "")
    )
