"""The files that a task names. They are read with the task, so that operators stay pure."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from targen.errors import SpecError, TableError
from targen.tasks import checks, file_content, import_files, imports, plugin_folders
from targen.tasks.imports import Mapped
from targen.tasks.plugin_packages import installed
from targen.tasks.sections import Example, Part, Vocabulary
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import Loc, YamlFile, shortened, validate

Row = dict[str, Any]

TEXT: Final = ".txt"
"""Ending of a file whose rows are paragraphs."""


def _named_file(file: YamlFile, loc: Loc, name: str) -> Path:
    """Return the path of a file that a task names, which must be in the task's folder."""
    folder = file.path.parent.resolve()
    try:
        path = (folder / name).resolve()
        path.is_file()
    except (OSError, RuntimeError, ValueError):
        # Too long, a circle of links, or a NUL in it.
        raise SpecError(f"{file.where(loc)}: {shortened(repr(name))} is not a file name") from None
    if not path.is_relative_to(folder):
        raise SpecError(f"{file.where(loc)}: '{name}' leaves the folder of the tasks")
    return path


def _text(file: YamlFile, loc: Loc, name: str) -> str:
    path = _named_file(file, loc, name)
    try:
        return file_content.text(path)
    except TableError as error:
        raise SpecError(f"{file.where(loc)}: {error}") from error
    except OSError as error:
        raise SpecError(f"{file.where(loc)}: '{name}' cannot be read: {error}") from error


def with_plugins(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the plug-ins of installed packages and of its folder.

    Raises:
        SpecError: the folder is not allowed (TARGEN_PLUGINS), or a plug-in cannot be used.
    """
    found = installed()
    name = spec.plugins.folder
    if name is not None:
        loc: Loc = ("plugins",)
        folder = _named_file(file, loc, name)
        if folder == file.path.parent.resolve():
            raise SpecError(f"{file.where(loc)}: give the plug-ins a folder of their own")
        found = found.joined(plugin_folders.load(folder, name, file.where(loc)))
    return spec.with_plugins(found)


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
    path = _named_file(file, loc, spec.examples_file)
    if file_content.kind_of(path.name) is not None:
        examples = _examples_of_table(spec, path, file.where(loc))
        return spec.model_copy(update={"examples": examples})
    source = YamlFile(path)
    read = spec.model_copy(update={"examples": validate(_Examples, source.data, source).examples})
    problems = [f"{source.where(where)}: {text}" for where, text in checks.check_examples(read)]
    if problems:
        raise SpecError("\n".join(problems))
    return read


def _examples_of_table(spec: TaskSpec, path: Path, where: str) -> list[Example]:
    """Return the examples of a table with one column per field, and `label`."""
    try:
        rows = imports.read_file(path, spec, Mapped(spec.columns, {})).to_dicts()
    except TableError as error:
        raise SpecError(f"{where}: {error}") from error
    return [
        Example(fields={n: row[n] for n in spec.shown_fields}, label=row.get(imports.LABEL))
        for row in rows
    ]


def reference_file(
    spec: TaskSpec, ancestors: Sequence[str], file: YamlFile, folder: Path | None
) -> Path | None:
    """Return the file of gold rows, from the folder of references or as the task names it.

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
        found = sorted(
            path
            for path in folder.glob(f"{name}.*")
            if path.is_file() and path.name.lower() in _data_files(name.lower())
        )
        if len(found) > 1:
            raise SpecError(f"{folder}: {found[0].name} and {found[1].name} are both for '{name}'")
        if found:
            return found[0]
    return None


def _data_files(name: str) -> set[str]:
    """Return the names that a data file `name` can have."""
    kinds, compressed = file_content.KINDS, ("", *file_content.COMPRESSED)
    return {f"{name}{kind}{more}" for kind in kinds for more in compressed}


def unlabeled_file(spec: TaskSpec, file: YamlFile) -> Path | None:
    """Return the file of unlabeled texts.

    Raises:
        SpecError: the file is missing or has another format.
    """
    if spec.unlabeled is None or spec.unlabeled.file is None:
        return None
    return _gold_file(file, ("unlabeled", "file"), spec.unlabeled.file)


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
    if file_content.kind_of(name) is None:
        raise SpecError(f"{file.where(loc)}: {file_content.wrong_ending(name)}")
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
        optional: the fields that may be empty, and that the file may lack.
        columns: column of the file -> field.

    Raises:
        SpecError: the file cannot be read, a column is missing, or a value has another type.
    """
    path, where = _named_file(file, loc, name), file.where(loc)
    alone = len(types) == 1
    if file_content.kind_of(name) is None and not (path.suffix == TEXT and alone):
        wrong = file_content.wrong_ending(name, (TEXT,) if alone else ())
        raise SpecError(f"{where}: {wrong}")
    try:
        if path.suffix == TEXT:
            found = import_files.paragraphs(path, next(iter(types)))
        else:
            found = import_files.read(path)
        made: dict[str, list[Any]] = {}
        mapped = Mapped(columns or {}, {})
        for field, kind in types.items():
            absent = imports.source_of(found, field, mapped) is None
            if absent and field in optional:
                made[field] = imports.absent_values(found, kind)
            else:
                # The operator rejects empty texts, with a reason, and keeps the other rows.
                made[field] = imports.column(
                    found, field, kind, mapped, blank=True, optional=field in optional
                )
    except TableError as error:
        raise SpecError(f"{where}: {error}") from error
    except OSError as error:
        raise SpecError(f"{where}: '{name}' cannot be read: {error.strerror or error}") from error
    return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]
