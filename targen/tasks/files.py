"""The files that a task names, read when the task is loaded, so that operators stay pure."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from targen.errors import SpecError
from targen.tasks import checks
from targen.tasks.import_files import SUFFIXES
from targen.tasks.sections import Example, Part, Vocabulary
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import Loc, YamlFile, validate

Row = dict[str, Any]


def _named_file(file: YamlFile, loc: Loc, name: str) -> Path:
    """Return the path of a file that a task names, which must stand in the task's folder."""
    folder = file.path.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise SpecError(f"{file.where(loc)}: '{name}' leaves the folder of the tasks")
    return path


def _text(file: YamlFile, loc: Loc, name: str) -> str:
    path = _named_file(file, loc, name)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{file.where(loc)}: '{name}' cannot be read: {error}") from error


def with_vocabularies(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the terms of its vocabulary files read in."""
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
    """Return the task with the examples of its file read in."""
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
    """Return the file of gold rows: from the folder of references, else as the task names it.

    Args:
        spec: the task.
        ancestors: the tasks that it extends, the nearest first.
        file: where it was read from.
        folder: of references, None where there is none.

    Raises:
        SpecError: there is no such folder or file, or the folder has two files for the task.
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
    """Return name -> file of other tasks' gold rows, for those that are files.

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
    return _rows(file, ("rows_file",), spec.rows_file, types)


def _rows(file: YamlFile, loc: Loc, name: str, types: "dict[str, Any]") -> list[Row]:
    """Return the rows of a file; columns that nobody asks for are left out.

    Raises:
        SpecError: the file cannot be read, a line is no row, or a column is missing.
    """
    text, kind = _text(file, loc, name), Path(name).suffix.lower()
    read = {".jsonl": _json_lines, ".csv": _csv, ".txt": _paragraphs}.get(kind)
    if read is None or (kind == ".txt" and len(types) != 1):
        wanted = ".jsonl or .csv" + (" or .txt" if len(types) == 1 else "")
        raise SpecError(f"{file.where(loc)}: '{name}' must end in {wanted}")
    rows = []
    try:
        for line, found in read(text, next(iter(types))):
            row = {field: found.get(field) for field in types}
            if kind == ".csv":
                row = {field: _cell(types[field], value) for field, value in row.items()}
            problem = next((p for f, v in row.items() if (p := _unfit(f, types[f], v))), None)
            if problem:
                raise SpecError(f"{file.where(loc)}: '{name}', line {line}: {problem}")
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise SpecError(f"{file.where(loc)}: '{name}' cannot be read: {error}") from error
    if not rows:
        raise SpecError(f"{file.where(loc)}: '{name}' holds no row")
    return rows


def _unfit(field: str, kind: str, value: Any) -> str | None:
    if value is None:
        return f"the column '{field}' is missing"
    texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    fits = {"texts": texts, "integer": isinstance(value, int)}.get(kind, isinstance(value, str))
    return None if fits else f"'{field}' must be {kind}, found {value!r}"


def _json_lines(text: str, _: str) -> list[tuple[int, Row]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            found.append((number, row))
    return found


def _csv(text: str, _: str) -> list[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [(reader.line_num, dict(row)) for row in reader]


def _cell(kind: str, value: Any) -> Any:
    """Return what a cell holds: CSV knows texts alone, so a list is written as JSON."""
    if value is None or kind not in ("integer", "texts"):
        return value
    try:
        return int(value) if kind == "integer" else json.loads(value)
    except ValueError:
        return value


def _paragraphs(text: str, field: str) -> list[tuple[int, Row]]:
    found, line = [], 1
    for block in text.split("\n\n"):
        if block.strip():
            found.append((line, {field: " ".join(block.split())}))
        line += block.count("\n") + 2
    return found
