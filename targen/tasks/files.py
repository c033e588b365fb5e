"""The files that a task names. They are read with the task, so that operators stay pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from targen.errors import SpecError, TableError
from targen.tasks import checks, import_files, imports
from targen.tasks.import_files import SUFFIXES, Rows
from targen.tasks.sections import Example, Part, Vocabulary
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import Loc, YamlFile, nearest, validate

Row = dict[str, Any]

_TEXT_CELLS: Final = (".csv", ".tsv")
"""Files whose cells are all text, so that a number is one in digits, and a list one in JSON."""


def _named_file(file: YamlFile, loc: Loc, name: str) -> Path:
    """Return the path of a file that a task names, which must be in the task's folder."""
    folder = file.path.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise SpecError(f"{file.where(loc)}: '{name}' leaves the folder of the tasks")
    return path


def _text(file: YamlFile, loc: Loc, name: str) -> str:
    path = _named_file(file, loc, name)
    try:
        return import_files.read_text(path)
    except TableError as error:
        raise SpecError(f"{file.where(loc)}: {error}") from error
    except OSError as error:
        raise SpecError(f"{file.where(loc)}: '{name}' cannot be read: {error}") from error


def with_vocabularies(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the terms of its vocabulary files."""
    read: dict[str, Vocabulary] = {}
    for name, vocabulary in spec.vocabularies.items():
        if vocabulary.file is None:
            continue
        lines = _text(file, ("vocabularies", name, "file"), vocabulary.file).splitlines()
        terms = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        read[name] = vocabulary.model_copy(update={"terms": terms})
    return spec.model_copy(update={"vocabularies": spec.vocabularies | read}) if read else spec


class _Examples(Part):
    examples: list[Example]


def with_examples(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the examples of its file."""
    if spec.examples_file is None:
        return spec
    loc: Loc = ("examples_file",)
    if spec.examples:
        raise SpecError(f"{file.where(loc)}: give `examples` or `examples_file`, not both")
    source = YamlFile(_named_file(file, loc, spec.examples_file))
    read = spec.model_copy(update={"examples": validate(_Examples, source.data, source).examples})
    problems = [f"{source.where(where)}: {text}" for where, text in checks.check_examples(read)]
    if problems:
        raise SpecError("\n".join(problems))
    return read


def reference_file(
    spec: TaskSpec, ancestors: Sequence[str], file: YamlFile, folder: Path | None
) -> Path | None:
    """Return the file of gold rows, from the folder of references or as the task names it.

    Args:
        spec: the task.
        ancestors: the tasks that it extends, the nearest first.
        file: the task's file.
        folder: the folder of references, None without one.

    Raises:
        SpecError: the folder or the file does not exist, or the folder has two files for the task.
    """
    if folder is not None and (found := _of_folder(folder, (spec.name, *ancestors))):
        return found
    if spec.reference is None or spec.reference.file is None:
        return None
    return _gold_file(file, ("reference", "file"), spec.reference.file)


def _of_folder(folder: Path, names: Sequence[str]) -> Path | None:
    if not folder.is_dir():
        raise SpecError(f"{folder}: there is no such folder; set TARGEN_REFERENCES_DIR")
    for name in names:
        found = [path for s in SUFFIXES if (path := folder / f"{name}{s}").is_file()]
        if len(found) > 1:
            raise SpecError(f"{folder}: {found[0].name} and {found[1].name} are both for '{name}'")
        if found:
            return found[0]
    return None


def elsewhere_files(spec: TaskSpec, file: YamlFile) -> dict[str, Path]:
    """Return name -> file of other tasks' gold rows, for rows that come from files.

    Raises:
        SpecError: a file is missing.
    """
    named = {name: rows.file for name, rows in spec.elsewhere.items() if rows.file is not None}
    return {
        name: _gold_file(file, ("elsewhere", name, "file"), path) for name, path in named.items()
    }


def _gold_file(file: YamlFile, loc: Loc, name: str) -> Path:
    path = _named_file(file, loc, name)
    if path.suffix.lower() not in SUFFIXES:
        raise SpecError(f"{file.where(loc)}: '{name}' must end in one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise SpecError(f"{file.where(loc)}: there is no file '{name}' in {path.parent}")
    return path


def seed_rows(spec: TaskSpec, file: YamlFile) -> list[Row]:
    """Return the seeds of `seeds.file`, each with exactly the fields of a seed."""
    if spec.seeds is None or spec.seeds.file is None:
        return []
    types = {name: part.type for name, part in spec.seeds.fields.items()}
    return _rows(file, ("seeds", "file"), spec.seeds.file, types)


def given_rows(spec: TaskSpec, file: YamlFile) -> list[Row]:
    """Return the rows of `rows_file`, each with exactly the task's fields but derived ones."""
    if spec.rows_file is None:
        return []
    types: dict[str, str] = {n: f.type for n, f in spec.fields.items() if not f.derived}
    optional = {name for name, field in spec.fields.items() if field.optional}
    return _rows(file, ("rows_file",), spec.rows_file, types, optional, spec.columns)


def _rows(
    file: YamlFile,
    loc: Loc,
    name: str,
    types: Mapping[str, str],
    optional: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return the rows of a file; columns that no field needs are left out.

    Args:
        file: the task's file.
        loc: the key that names the file of rows.
        name: its value.
        types: field -> type.
        optional: the fields that the file may lack; they are empty then.
        columns: column of the file -> field.

    Raises:
        SpecError: the file cannot be read, a column is missing, or a value has another type.
    """
    where, kind = file.where(loc), Path(name).suffix.lower()
    alone = len(types) == 1
    if kind not in SUFFIXES and not (kind == ".txt" and alone):
        known = (*SUFFIXES, ".txt") if alone else SUFFIXES
        raise SpecError(f"{where}: '{name}' must end in {', '.join(known[:-1])} or {known[-1]}")
    if kind == ".txt":
        found = _paragraphs(_text(file, loc, name), name, next(iter(types)))
    else:
        try:
            found = import_files.read(_named_file(file, loc, name))
        except TableError as error:
            raise SpecError(f"{where}: {error}") from error
    if not found.places:
        raise SpecError(
            f"{where}: '{name}' contains no rows; add at least one, or name another file"
        )
    made: dict[str, list[Any]] = {}
    for field, type_ in types.items():
        given = [column for column, meant in (columns or {}).items() if meant == field]
        source = found.find(*given, field)
        if source is None and field not in optional:
            at = found.header or found.places[0]
            raise SpecError(
                f"{where}: '{name}', {found.place_word} {at}: the column '{field}' is missing; "
                f"{nearest(field, found.columns)}"
            )
        cells = [""] * len(found.places) if source is None else found.columns[source]
        values = [_cell(type_, cell) for cell in cells] if kind in _TEXT_CELLS else cells
        for value, place in zip(values, found.places, strict=True):
            if problem := _unfit(field, type_, value):
                raise SpecError(f"{where}: '{name}', {found.place_word} {place}: {problem}")
        made[field] = [_storable(value) for value in values]
    return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]


def _unfit(field: str, kind: str, value: Any) -> str | None:
    if value is None:
        return f"the column '{field}' is missing or null; fill it in or leave the row out"
    if kind == "texts":
        fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
    elif kind == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    return None if fits else f"'{field}' must be {kind}, found {shown}"


def _storable(value: Any) -> Any:
    if isinstance(value, list):
        return [imports.whole(text) for text in value]
    return imports.whole(value) if isinstance(value, str) else value


def _cell(kind: str, value: Any) -> Any:
    """Return the value of a cell, or the cell itself if it is not of this type."""
    if kind not in ("integer", "texts"):
        return value
    try:
        return int(value) if kind == "integer" else json.loads(value)
    except (ValueError, RecursionError):
        return value


def _paragraphs(text: str, name: str, field: str) -> Rows:
    """Return the paragraphs of a text as rows of one field."""
    found: list[str] = []
    lines: list[int] = []
    line = 1
    for block in text.split("\n\n"):
        if block.strip():
            found.append(" ".join(block.split()))
            lines.append(line)
        line += block.count("\n") + 2
    return Rows(name, {field: found}, lines, "line")
