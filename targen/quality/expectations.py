"""Great Expectations at work: a table held against its suite, and the page of what it found."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import Template
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from targen.errors import SpecError
from targen.tables.storage import Storage
from targen.tasks.sections import Expectation
from targen.tasks.yamlfile import Loc, YamlFile

if TYPE_CHECKING:
    import pandas as pd

    from targen.tasks.spec import TaskSpec

FOLDER: Final = "expectations"
TEMPLATE: Final = "expectations.html.jinja"
SHOWN: Final = 5
"""Unexpected values that a result quotes."""
_PLACE: Final = "place"
_LONGEST: Final = 200
_MOST: Final = 20
_SEVERITY: Final = {"error": "critical", "warn": "warning"}


def page_key(task: str) -> str:
    """Return where the page lies in the data folder."""
    return f"{FOLDER}/{task}/index.html"


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return the process's one context: nothing on disk, no progress bars, nothing sent."""
    with _quiet():
        import great_expectations  # noqa: PLC0415

        context: Any = great_expectations.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = {"globally": False}
    return context


def _quiet() -> Any:
    # The library warns of its own dependencies; nobody here can do anything about that.
    return warnings.catch_warnings(action="ignore")


def _configuration(expectation: Expectation, place: int = 0) -> Any:
    """Return an expectation as the library has it, with its place in the suite as a mark.

    Raises:
        ValueError: its arguments are wrong.
    """
    _context()
    from great_expectations.expectations.registry import get_expectation_impl  # noqa: PLC0415

    kind: Any = get_expectation_impl(expectation.type)
    made = kind(**expectation.kwargs, severity=_SEVERITY[expectation.severity]).configuration
    made.meta = {_PLACE: place}
    return made


def problems(spec: "TaskSpec", file: YamlFile) -> list[str]:
    """Return what the library says against the arguments of the task's own expectations.

    Imports the library where the task has any. Names and columns were checked when the task was
    loaded.
    """
    found = []
    for table, wanted in spec.expectations.items():
        for index, expectation in enumerate(wanted):
            loc: Loc = ("expectations", table, index)
            try:
                with _quiet():
                    _configuration(expectation)
            except ValueError as error:  # pydantic's own is one
                found += [f"{file.where((*loc, *at))}: {text}" for at, text in _said(error)]
    return found


def _said(error: ValueError) -> list[tuple[Loc, str]]:
    """Return where and what the library's check of arguments complains of, each place once."""
    listed = getattr(error, "errors", None)
    if listed is None:
        return [((), str(error).splitlines()[0])]
    found: dict[Loc, str] = {}
    for item in listed():
        place = item["loc"][:1]
        at: Loc = ("kwargs",) if place in ((), ("__root__",)) else ("kwargs", *place)
        text = item["msg"]
        if item["type"] == "value_error.extra":
            text = "there is no such argument"
        elif item["type"] == "value_error.missing":
            text = "this argument is missing"
        found.setdefault(at, text)
    return list(found.items())


def validate(
    step: str, spec: "TaskSpec", table: pl.DataFrame, suite: Sequence[Expectation]
) -> dict[str, Any]:
    """Hold a table against its suite.

    Returns:
        What the library found, as JSON: `success`, `statistics` and `results` in the suite's
        order, without ids, times and tracebacks, which would differ from run to run; long values
        are cut. Each result has `words` besides, the expectation as a sentence.

    Raises:
        SpecError: arguments of the task's own expectations are wrong.
    """
    wrong = problems(spec, YamlFile(spec.source)) if spec.expectations.get(step) else []
    if wrong:
        raise SpecError("\n".join(wrong))
    with _quiet():
        from great_expectations.core import ExpectationSuite  # noqa: PLC0415

        batch = _context().data_sources.pandas_default.read_dataframe(pandas(table))
        summary = {"result_format": "SUMMARY", "partial_unexpected_count": SHOWN}
        asked = [_configuration(one, place) for place, one in enumerate(suite)]
        whole = ExpectationSuite(name=step, expectations=asked)
        found = batch.validate(whole, result_format=summary).results
        # The library gives them back in an order of its own.
        ordered = sorted(found, key=lambda one: one.expectation_config.meta[_PLACE])
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
    """Return a table as the library takes it: texts and lists as Python's own, nulls kept."""
    import pandas as pd  # noqa: PLC0415 - the library brings it

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
    whole = {
        "success": bool(raw["success"]),
        "words": _words(found.expectation_config),
        "expectation_config": config,
        "result": raw["result"],
        "exception": _exception(raw["exception_info"]),
    }
    cut: dict[str, Any] = _cut(whole)
    return cut


def _exception(info: Mapping[str, Any]) -> str | None:
    """Return the first message of what went wrong inside the library, None where nothing did."""
    parts = [info] if "exception_message" in info else info.values()
    raised = (str(part["exception_message"]) for part in parts if part["raised_exception"])
    return next(raised, None)


def _words(configuration: Any) -> str:
    """Return an expectation as the library's own sentence."""
    kwargs = {k: v for k, v in configuration.kwargs.items() if k != "batch_id"}
    values = kwargs.get("value_set")
    if isinstance(values, list) and len(values) > SHOWN:
        kwargs["value_set"] = [*values[:SHOWN], f"… ({len(values) - SHOWN} more)"]
    return _sentence(configuration.type, json.dumps(kwargs, sort_keys=True, default=str))


@lru_cache(maxsize=4096)
def _sentence(kind: str, kwargs: str) -> str:
    # Wording one takes the library as long as checking one, and tasks have most in common.
    from great_expectations.expectations.expectation_configuration import (  # noqa: PLC0415
        ExpectationConfiguration,
    )
    from great_expectations.render.renderer.inline_renderer import (  # noqa: PLC0415
        InlineRenderer,
    )

    whole = ExpectationConfiguration(type=kind, kwargs=json.loads(kwargs))
    value: Any = InlineRenderer(whole).get_rendered_content()[0].value.to_json_dict()
    value = value.get("header", {}).get("value", value)
    template, params = value.get("template"), value.get("params", {})
    if not template:
        return kind
    said = {name: str(part["value"])[:_LONGEST] for name, part in params.items()}
    return Template(template).safe_substitute(said)


def _cut(value: Any) -> Any:
    """Return JSON with long lists and texts cut, and numbers that JSON lacks as null."""
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


def write(place: Storage, spec: "TaskSpec", steps: Sequence[str], found: Mapping[str, Any]) -> str:
    """Store what was found of one table, and the page of all tables anew.

    Args:
        place: the data folder.
        spec: the task.
        steps: all tables, in order.
        found: what `validate` returned.

    Returns:
        Where the page lies.

    Raises:
        TableError: the place cannot be read or written.
    """
    from targen.quality.page import template  # noqa: PLC0415 - not where nothing is rendered

    keys = {step: f"{FOLDER}/{spec.name}/{step}.json" for step in steps}
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, indent=1)
    place.write(keys[found["table"]], text.encode())
    contents = {step: place.read(key) for step, key in keys.items()}
    tables = [json.loads(content) for content in contents.values() if content is not None]
    page = template(TEMPLATE).render(title=spec.title, task=spec.name, tables=tables)
    place.write(page_key(spec.name), page.encode())
    return place.address(page_key(spec.name))
