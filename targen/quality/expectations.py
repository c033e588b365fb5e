"""Validates tables with Great Expectations and renders the results as a page."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from string import Template
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from targen.errors import SpecError
from targen.hashing import digest
from targen.tables.commits import Journal, committed
from targen.tables.files import Stored
from targen.tables.storage import Storage
from targen.tasks.sections import Expectation
from targen.tasks.yamlfile import Loc, YamlFile

if TYPE_CHECKING:
    import pandas as pd

    from targen.tasks.spec import TaskSpec

FOLDER: Final = "expectations"
TEMPLATE: Final = "expectations.html.jinja"
SHOWN: Final = 5
"""Unexpected values shown per result."""
_INDEX: Final = "index"
_LONGEST: Final = 200
_MOST: Final = 20
_VERSION: Final = 1
"""Increase it when results or page change for the same table and suite."""
_SEVERITY: Final = {"error": "critical", "warn": "warning"}


def page_key(task: str) -> str:
    """Return the key of a task's page in the data folder."""
    return f"{FOLDER}/{task}/index.html"


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return an in-memory context without progress bars or analytics."""
    with _quiet():
        import great_expectations  # noqa: PLC0415

        context: Any = great_expectations.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = {"globally": False}
    return context


def _quiet() -> Any:
    # The library triggers warnings about its own dependencies.
    return warnings.catch_warnings(action="ignore")


def _configuration(expectation: Expectation, index: int = 0) -> Any:
    """Return the library's form of an expectation, with its index in the suite as metadata.

    Raises:
        ValueError: an argument is wrong.
    """
    _context()
    from great_expectations.expectations.registry import get_expectation_impl  # noqa: PLC0415

    kind: Any = get_expectation_impl(expectation.type)
    built = kind(**expectation.kwargs, severity=_SEVERITY[expectation.severity]).configuration
    built.meta = {_INDEX: index}
    return built


def problems(spec: "TaskSpec", file: YamlFile) -> list[str]:
    """Return the errors in the arguments of the task's own expectations.

    Imports the library if the task has any. Names and columns were checked when the task was
    loaded.
    """
    found = []
    for table, expectations in spec.expectations.items():
        for index, expectation in enumerate(expectations):
            loc: Loc = ("expectations", table, index)
            try:
                with _quiet():
                    _configuration(expectation)
            except ValueError as error:  # includes pydantic.ValidationError
                found += [f"{file.where((*loc, *at))}: {text}" for at, text in _errors(error)]
    return found


def _errors(error: ValueError) -> list[tuple[Loc, str]]:
    """Return location and message of each wrong argument, one per location."""
    listed = getattr(error, "errors", None)
    if listed is None:
        return [((), str(error).splitlines()[0])]
    found: dict[Loc, str] = {}
    for item in listed():
        argument = item["loc"][:1]
        at: Loc = ("kwargs",) if argument in ((), ("__root__",)) else ("kwargs", *argument)
        text = item["msg"]
        if item["type"] == "value_error.extra":
            text = "unknown argument"
        elif item["type"] == "value_error.missing":
            text = "missing argument"
        found.setdefault(at, text)
    return list(found.items())


def update(
    storage: Storage,
    step: str,
    spec: "TaskSpec",
    stored: Stored,
    suite: Sequence[Expectation],
    steps: Sequence[str],
) -> dict[str, Any]:
    """Validate a table and update its page, unless the stored results are for the same table.

    Importing the library and validating take longer than the rest of a run without calls. The
    caller has locked the task.

    Returns:
        As `validate`, and `of`: a hash of everything that the results depend on.

    Raises:
        SpecError: an argument of the task's own expectations is wrong.
        TableError: the storage cannot be read or written.
    """
    of = digest(
        {
            "title": spec.title,
            "table": stored.data_version,
            "suite": [one.model_dump(mode="json") for one in suite],
            "library": version("great_expectations"),
            "version": _VERSION,
        }
    )
    last = _last(storage, spec.name, step)
    if last is not None and last.get("of") == of and storage.read(page_key(spec.name)) is not None:
        return last
    found = {**validate(step, spec, stored.table, suite), "of": of}
    write(storage, spec, steps, found)
    return found


def _last(storage: Storage, task: str, step: str) -> dict[str, Any] | None:
    """Return the stored results of a table, None without any that can be read."""
    content = storage.read(_key(task, step))
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _key(task: str, step: str) -> str:
    return f"{FOLDER}/{task}/{step}.json"


def validate(
    step: str, spec: "TaskSpec", table: pl.DataFrame, suite: Sequence[Expectation]
) -> dict[str, Any]:
    """Validate a table against its suite.

    Returns:
        The library's results as JSON: `success`, `statistics` and `results` in the suite's order.
        Ids, times and tracebacks are omitted, because they would differ from run to run; long
        values are cut. Each result also has `words`, the expectation as a sentence.

    Raises:
        SpecError: an argument of the task's own expectations is wrong.
    """
    wrong = problems(spec, YamlFile(spec.source)) if spec.expectations.get(step) else []
    if wrong:
        raise SpecError("\n".join(wrong))
    with _quiet():
        from great_expectations.core import ExpectationSuite  # noqa: PLC0415

        sources = _context().data_sources
        source = sources.add_pandas(step)
        batch = source.read_dataframe(pandas(table))
        summary = {"result_format": "SUMMARY", "partial_unexpected_count": SHOWN}
        configurations = [_configuration(one, index) for index, one in enumerate(suite)]
        built = ExpectationSuite(name=step, expectations=configurations)
        try:
            found = batch.validate(built, result_format=summary).results
        finally:
            # The source would keep the table in memory.
            sources.delete(step)
        # The library returns the results in a different order.
        ordered = sorted(found, key=lambda one: one.expectation_config.meta[_INDEX])
        results = [_result(one) for one in ordered]
    good = sum(result["success"] for result in results)
    return {
        "table": step,
        "rows": table.height,
        "success": good == len(results),
        "statistics": {
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
        },
        "results": results,
    }


def pandas(table: pl.DataFrame) -> "pd.DataFrame":
    """Return a table for the library: texts and lists as Python objects, nulls preserved."""
    import pandas as pd  # noqa: PLC0415 - slow; a dependency of the library

    columns = {}
    for name, dtype in table.schema.items():
        kind = "object"
        if dtype == pl.Int64:
            kind = "Int64" if table[name].null_count() else "int64"
        elif dtype == pl.Float64:
            kind = "float64"
        columns[name] = pd.Series(table[name].to_list(), dtype=kind)
    return pd.DataFrame(columns)


def _result(found: Any) -> dict[str, Any]:
    raw = found.to_json_dict()
    config = raw["expectation_config"]
    config = {name: config[name] for name in ("type", "kwargs", "severity")}
    config["kwargs"] = {k: v for k, v in config["kwargs"].items() if k != "batch_id"}
    result = {
        "success": bool(raw["success"]),
        "words": _words(found.expectation_config),
        "expectation_config": config,
        "result": raw["result"],
        "exception": _exception(raw["exception_info"]),
    }
    cut: dict[str, Any] = _cut(result)
    return cut


def _exception(info: Mapping[str, Any]) -> str | None:
    """Return the message of the first exception inside the library, None without one."""
    parts = [info] if "exception_message" in info else info.values()
    raised = (str(part["exception_message"]) for part in parts if part["raised_exception"])
    return next(raised, None)


def _words(configuration: Any) -> str:
    """Return the library's sentence for an expectation."""
    kwargs = {k: v for k, v in configuration.kwargs.items() if k != "batch_id"}
    values = kwargs.get("value_set")
    if isinstance(values, list) and len(values) > SHOWN:
        kwargs["value_set"] = [*values[:SHOWN], f"… ({len(values) - SHOWN} more)"]
    return _sentence(configuration.type, json.dumps(kwargs, sort_keys=True, default=str))


@lru_cache(maxsize=4096)
def _sentence(kind: str, kwargs: str) -> str:
    # Rendering a sentence takes as long as a check, and most sentences are common to all tasks.
    from great_expectations.expectations.expectation_configuration import (  # noqa: PLC0415
        ExpectationConfiguration,
    )
    from great_expectations.render.renderer.inline_renderer import (  # noqa: PLC0415
        InlineRenderer,
    )

    configuration = ExpectationConfiguration(type=kind, kwargs=json.loads(kwargs))
    value: Any = InlineRenderer(configuration).get_rendered_content()[0].value.to_json_dict()
    value = value.get("header", {}).get("value", value)
    template, params = value.get("template"), value.get("params", {})
    if not template:
        return kind
    values = {name: str(part["value"])[:_LONGEST] for name, part in params.items()}
    return Template(template).safe_substitute(values)


def _cut(value: Any) -> Any:
    """Return JSON with long lists and texts cut, and NaN and infinities as null."""
    if isinstance(value, dict):
        return {str(key): _cut(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        kept = [_cut(part) for part in value[:_MOST]]
        return kept + ([f"… and {len(value) - _MOST} more"] if len(value) > _MOST else [])
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    return value if value is None or isinstance(value, bool | int) else str(value)[:_LONGEST]


def write(
    storage: Storage, spec: "TaskSpec", steps: Sequence[str], found: Mapping[str, Any]
) -> str:
    """Store the results of one table, and render the page of all tables.

    The caller has locked the task.

    Returns:
        The address of the page.

    Raises:
        TableError: the storage cannot be read or written.
    """
    from targen.quality.page import template  # noqa: PLC0415 - imports Jinja

    keys = {step: _key(spec.name, step) for step in steps}
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, indent=1)
    own = keys[found["table"]]
    contents = {key: text.encode() if key == own else storage.read(key) for key in keys.values()}
    tables = [json.loads(content) for content in contents.values() if content is not None]
    page = template(TEMPLATE).render(title=spec.title, task=spec.name, tables=tables)
    files = {own: text.encode(), page_key(spec.name): page.encode()}
    with committed(storage, files, Journal(FOLDER, spec.name, {}, {})):
        pass
    return storage.address(page_key(spec.name))
