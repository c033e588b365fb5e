"""Tasks for reports on the user's data: from the columns of a file, or from a short task file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from targen.errors import SpecError, TableError
from targen.steps import RESERVED
from targen.tasks import checks, imports
from targen.tasks import files as task_files
from targen.tasks.import_files import Rows
from targen.tasks.imports import LABEL
from targen.tasks.recipe import Recipe, StepChoice, Steps
from targen.tasks.sections import LANGUAGES
from targen.tasks.spec import Attached, TaskSpec
from targen.tasks.yamlfile import YamlFile, nearest, validate

REPORT_ONLY: Final = "report_only"
"""Key of a task file that only describes rows to report on."""
MOST_LABELS: Final = 200
"""Different values of a label column up to which they are labels, however few the rows."""
LONGEST_LABEL: Final = 500
"""Characters of a label at most. The report searches the texts for all labels at once."""
_CONSTRAINT: Final = "Not used: this task is for reports only."
_RECIPE: Final = Recipe(
    name="none",
    title="No recipe",
    source="the user's own rows",
    steps=Steps(instances=StepChoice(operator="file"), labels=StepChoice(operator="annotate")),
)


def from_columns(
    path: Path,
    files: Sequence[Rows],
    text: Sequence[str],
    label: str | None,
    renamed: Mapping[str, str],
    language: str = "en",
) -> TaskSpec:
    """Return a task for the columns of a file; its labels are the values that occur.

    Args:
        path: the file; its name becomes the task's name and title.
        files: its rows, then those of other files with the same columns, such as gold rows.
        text: the columns with text, in order.
        label: the column of the label; by default `label`, if the file has it.
        renamed: label in the file -> name in the report.
        language: ISO 639-1 code of the texts.

    Raises:
        TableError: a column is missing or cannot be a text or a label.
    """
    rows = files[0]
    if language not in LANGUAGES:
        raise TableError(f"--language {language}: {nearest(language, LANGUAGES)}.")
    if not text:
        raise TableError(
            f"Name the columns of {path} with text: --text A,B. It has {', '.join(rows.columns)}. "
            "Or name a task with --task."
        )
    found = {name: _column(rows, name, "--text") for name in dict.fromkeys(text)}
    source = rows.find(LABEL) if label is None else _column(rows, label, "--label")
    if source in found.values():
        raise TableError(f"The column {source} cannot be both text and label. Check --text.")
    fields = {_field(column): _type(rows, column) for column in found.values()}
    if len(fields) < len(found):
        raise TableError(
            f"Two of the columns {', '.join(found.values())} have nearly the same name."
        )
    columns = dict(zip(found.values(), fields, strict=True))
    answer: dict[str, Any] = {"kind": "none"}
    if source is not None:
        columns[source] = LABEL
        answer = _answer(files, source, renamed)
    data = {
        "name": _name(path),
        "title": path.name,
        "description": "",
        "language": language,
        "fields": {name: {"type": kind} for name, kind in fields.items()},
        "answer": answer,
        "columns": columns,
    }
    return _attached(TaskSpec.model_validate(data), path, None)


def from_file(file: YamlFile) -> TaskSpec:
    """Return the task of a file with the key `report_only`.

    Only `fields` and `answer.labels` are required, and both may be plain lists of names. All other
    keys are those of a task.

    Raises:
        SpecError: the problems of the file, one per line.
    """
    data = dict(file.data)
    if data.pop(REPORT_ONLY) is not True:
        raise SpecError(f"{file.where((REPORT_ONLY,))}: write `true`, or remove the key")
    for key in ("recipe", "extends", "steps"):
        if key in data:
            raise SpecError(f"{file.where((key,))}: a task with `report_only` has no `{key}`")
    data.setdefault("name", _name(file.path))
    data.setdefault("title", data["name"])
    data.setdefault("description", "")
    data["fields"] = _named(data.get("fields"), {})
    answer = data.get("answer", {"kind": "none"})
    if isinstance(answer, dict) and "labels" in answer:
        labels = _named(answer["labels"], {"constraint": _CONSTRAINT})
        answer = {**answer, "labels": _with_constraints(labels)}
    data["answer"] = answer
    spec = task_files.with_plugins(validate(TaskSpec, data, file), file)
    if problems := checks.problems(spec, file):
        raise SpecError("\n".join(problems))
    return _attached(spec, file.path, file)


def for_reports_only(spec: TaskSpec) -> bool:
    """Return whether a task only describes rows, without a recipe to make any."""
    return spec.recipe.name == _RECIPE.name


def _attached(spec: TaskSpec, path: Path, file: YamlFile | None) -> TaskSpec:
    gold = task_files.reference_file(spec, (), file, None) if file else None
    spec.attach(
        Attached(
            source=path,
            recipe=_RECIPE,
            per_call=1,
            per_slot=False,
            drops=False,
            ancestors=(),
            reference_file=gold,
            elsewhere_files=task_files.elsewhere_files(spec, file) if file else {},
            seed_rows=[],
            given_rows=[],
        )
    )
    return spec


def _named(value: Any, default: dict[str, Any]) -> Any:
    """Return a mapping for a list of names, and `default` for names without a value."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: dict(default) for name in value}
    if isinstance(value, dict):
        return {name: dict(default) if part is None else part for name, part in value.items()}
    return value


def _with_constraints(labels: Any) -> Any:
    """Add the required constraint to labels that have only a definition."""
    if not isinstance(labels, dict):
        return labels
    return {
        name: {"constraint": _CONSTRAINT, **part} if isinstance(part, dict) else part
        for name, part in labels.items()
    }


def _name(path: Path) -> str:
    """Return a task's name made from a file's name."""
    stem = path.name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:63] or "rows"


def _column(rows: Rows, name: str, option: str) -> str:
    found = rows.find(name)
    if found is None:
        cells = f" Cells are separated by {rows.separated_by}." if rows.separated_by else ""
        raise TableError(
            f"{option} {name}: {rows.name} has no such column; "
            f"{imports.sentence(nearest(name, rows.columns))}{cells}"
        )
    return found


def _field(column: str) -> str:
    name = re.sub(r"\W+", "_", column.strip()).strip("_") or "text"
    name = f"field_{name}" if not name.isidentifier() else name
    return f"{name}_" if name in RESERVED else name


def _type(rows: Rows, column: str) -> str:
    lists = any(isinstance(value, list) for value in rows.columns[column])
    return "texts" if lists else "text"


def _answer(files: Sequence[Rows], column: str, renamed: Mapping[str, str]) -> dict[str, Any]:
    """Return the section `answer` for the values of a column.

    Raises:
        TableError: its values are not labels.
    """
    values = [
        value
        for rows in files
        for value in rows.columns.get(rows.find(column, LABEL) or "", ())
        if not imports.empty(value)
    ]
    many = any(isinstance(value, list) for value in values)
    parts = [
        part
        for value in values
        for part in (value if many and isinstance(value, list) else [value])
    ]
    if any(isinstance(part, list | dict) for part in parts):
        raise TableError(f"--label {column}: its values are objects or nested lists, not labels.")
    texts = [imports.label_text(part) or "" for part in parts]
    unknown = next((name for name in renamed if name not in texts), None)
    if unknown is not None:
        raise TableError(
            f"--label {renamed[unknown]}={unknown}: {column} has no value {unknown}; "
            f"{imports.sentence(nearest(unknown, sorted(set(texts))[:20]))}"
        )
    names = sorted({renamed.get(text, text) for text in texts}, key=_in_order)
    if not names:
        raise TableError(f"--label {column}: the column is empty. Name another one.")
    if (longest := max(map(len, names))) > LONGEST_LABEL:
        raise TableError(
            f"--label {column}: a value has {longest:,} characters, so its values are texts, not "
            "labels. Name another column, or none."
        )
    if len(names) > MOST_LABELS or (len(names) > 20 and len(names) * 2 > len(values)):
        raise TableError(
            f"--label {column}: {len(names):,} different values in {len(values):,} rows are not "
            "labels. Name another column, or none."
        )
    labels = {name: {"constraint": _CONSTRAINT} for name in names}
    return {"kind": "multi" if many else "class", "labels": labels}


def _in_order(name: str) -> tuple[int, float, str]:
    """Sort numbers by value, before names."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
