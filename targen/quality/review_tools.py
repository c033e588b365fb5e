"""Review samples as records of Argilla and Label Studio, and the answers read back.

The formats are those of Argilla 2 (`dataset.records.from_json` and `to_json`) and of Label Studio's
JSON import and export (https://labelstud.io/guide/task_format), also JSON-MIN.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args
from xml.sax.saxutils import quoteattr

from targen.errors import TargenError
from targen.reading import read_bytes
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import nearest

Form = Literal["csv", "argilla", "labelstudio"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
SUFFIXES: Final = (".json", ".jsonl")
"""Files of answers; other files are sheets."""
VERDICT: Final = "verdict"
COMMENT: Final = "comment"
WRONG: Final = "wrong"
"""The choice for a wrong label where no other one is right."""
_KEYS: Final = ("task", "instance_id", "content")
_SEPARATOR: Final = ";"

Cells = dict[str, str]


def form_named(name: str) -> Form:
    """Return the format of this name; raise TargenError if there is none."""
    for form in FORMS:
        if form == name:
            return form
    raise TargenError(f"Unknown review format {name!r}; {nearest(name, FORMS)}")


def records(spec: TaskSpec, chosen: Sequence[Mapping[str, Any]], form: Form) -> dict[str, str]:
    """Return the files of a sample: suffix -> text."""
    made = _argilla if form == "argilla" else _label_studio
    lines = [made(spec, row) for row in chosen]
    files = {f".{form}.json": json.dumps(lines, ensure_ascii=False, indent=1) + "\n"}
    if form == "labelstudio":
        files[".labelstudio.xml"] = _config(spec)
    return files


def _facts(spec: TaskSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("instance_id", "content", "stratum", "weight")
    return {"task": spec.name, **{name: row[name] for name in names}}


def _shown(spec: TaskSpec, row: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        return "\n".join(map(str, value)) if isinstance(value, list) else str(value)

    return {name: text(row[name]) for name in spec.fields}


def _argilla(spec: TaskSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["instance_id"],
        "fields": _shown(spec, row),
        "metadata": _facts(spec, row),
        "suggestions": {VERDICT: {"value": row["label"], "score": None, "agent": "targen"}},
        "responses": {},
        "vectors": {},
    }


def _label_studio(spec: TaskSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    labels = row["label"] if isinstance(row["label"], list) else [row["label"]]
    listed = bool(spec.labels) and spec.answer.kind != "spans"
    kind, value = ("choices", labels) if listed else ("textarea", labels)
    result = {
        "from_name": VERDICT,
        "to_name": next(iter(spec.fields)),
        "type": kind,
        "value": {"choices" if listed else "text": value},
    }
    return {
        "data": {**_shown(spec, row), **_facts(spec, row)},
        "predictions": [{"model_version": "targen", "result": [result]}],
    }


def _config(spec: TaskSpec) -> str:
    """Return the labeling configuration of a Label Studio project."""
    first = next(iter(spec.fields))
    parts = ["<View>"]
    for name in spec.fields:
        parts.append(f"  <Header value={quoteattr(name)}/>")
        parts.append(f"  <Text name={quoteattr(name)} value={quoteattr(f'${name}')}/>")
    if spec.answer.question:
        parts.append(f"  <Header value={quoteattr(' '.join(spec.answer.question.split()))}/>")
    to = f"name={quoteattr(VERDICT)} toName={quoteattr(first)}"
    if spec.labels and spec.answer.kind != "spans":
        choice = "multiple" if spec.answer.kind == "multi" else "single"
        parts.append(f'  <Choices {to} choice="{choice}">')
        parts += [f"    <Choice value={quoteattr(name)}/>" for name in (*spec.labels, WRONG)]
        parts.append("  </Choices>")
    else:
        parts.append(f"  <TextArea {to} placeholder={quoteattr('right, wrong or the right one')}/>")
    parts.append(f"  <TextArea name={quoteattr(COMMENT)} toName={quoteattr(first)}/>")
    return "\n".join([*parts, "</View>", ""])


def answers(path: Path) -> list[tuple[int, Cells]]:
    """Return the number, from 1, and the cells of each answer in a file, as a sheet has them.

    Skipped and unfinished records have an empty verdict. A record with several answers gives one
    entry for each.

    Raises:
        TargenError: the file cannot be read, or is of another format.
    """
    found: list[tuple[int, Cells]] = []
    for number, record in enumerate(_records(path), 1):
        read = next((read for fits, read in _READERS if fits(record)), None)
        try:
            cells = None if read is None else read(record)
        except (TypeError, AttributeError):
            # A value of another type than these tools write.
            cells = None
        if cells is None:
            raise TargenError(
                f"{path}: record {number} is neither a record of Argilla (fields, metadata, "
                "responses) nor a task of Label Studio (data, annotations). Export JSON there."
            )
        found += [(number, one) for one in cells]
    return found


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
        if path.suffix == ".jsonl":
            # Not `splitlines`, which also splits inside texts.
            loaded: Any = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            loaded = json.loads(text)
    except OSError as error:
        raise TargenError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TargenError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(loaded, list) or not all(isinstance(one, dict) for one in loaded):
        raise TargenError(f"{path} must be a list of records, as Argilla or Label Studio write it.")
    return loaded


def _cells(facts: Mapping[str, Any], label: Any, verdict: Any, comment: Any, who: Any) -> Cells:
    known = {name: _text(facts.get(name)) for name in _KEYS}
    said = {VERDICT: _text(verdict), COMMENT: _text(comment), "reviewer": _text(who)}
    return {**known, "label": _text(label), **said}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return _SEPARATOR.join(str(one).strip() for one in value)
    return "" if value is None else str(value).strip()


def _of_argilla(record: Mapping[str, Any]) -> list[Cells]:
    facts, responses = record.get("metadata") or {}, record.get("responses") or {}
    comments = {
        one.get("user_id"): one.get("value")
        for one in responses.get(COMMENT) or ()
        if isinstance(one, dict)
    }
    found = []
    for one in responses.get(VERDICT) or ():
        # Records that were discarded or not submitted.
        if isinstance(one, dict) and one.get("status") in (None, "submitted"):
            who = one.get("user_id")
            found.append(_cells(facts, None, one.get("value"), comments.get(who), who))
    return found or [_cells(facts, None, None, None, None)]


def _of_label_studio(task: Mapping[str, Any]) -> list[Cells]:
    facts, found = task["data"], []
    for one in task.get("annotations") or ():
        if not isinstance(one, dict) or one.get("was_cancelled"):
            continue
        said: dict[str, Any] = {}
        for result in one.get("result") or ():
            if isinstance(result, dict) and isinstance(result.get("value"), dict):
                value = result["value"]
                said[str(result.get("from_name"))] = value.get("choices") or value.get("text")
        who = one.get("completed_by")
        who = who.get("email") or who.get("id") if isinstance(who, dict) else who
        found.append(_cells(facts, None, said.get(VERDICT), said.get(COMMENT), who))
    return found or [_cells(facts, None, None, None, None)]


def _of_json_min(task: Mapping[str, Any]) -> list[Cells]:
    verdict = task.get(VERDICT)
    if isinstance(verdict, dict):
        verdict = verdict.get("choices")
    return [_cells(task, None, verdict, task.get(COMMENT), task.get("annotator"))]


_Reader = tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], list[Cells]]]
_READERS: Final[tuple[_Reader, ...]] = (
    (lambda one: isinstance(one.get("metadata"), dict) and "fields" in one, _of_argilla),
    (lambda one: isinstance(one.get("data"), dict), _of_label_studio),
    (lambda one: "instance_id" in one and "annotation_id" in one, _of_json_min),
)
