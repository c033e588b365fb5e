"""The decorators of plug-ins, and how the functions of a module become plug-ins.

A decorator only marks its function. The functions are collected when a task names their folder, or
from the entry points of installed packages, so importing a plug-in changes nothing by itself.
"""

import inspect
import re
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import Any, Final, Literal, TypeVar

from targen.errors import PluginError, SpecError, TargenError
from targen.steps import RECIPE_STEP
from targen.tasks.plugin_kinds import Code, Guard, Kind, PluginMetric, PluginSet, Row, Validator
from targen.tasks.registry import Operator, Params, metrics, operators
from targen.tasks.yamlfile import nearest

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MARK: Final = "__targen_plugins__"
_TAKES: Final[Mapping[str, tuple[str, ...]]] = {
    "operator": ("step", "params"),
    "validator": ("row", "roles"),
    "guard": ("text",),
    "metric": ("inputs",),
}
"""Kind -> the parameters of its function, by position."""

ValidatorFunction = TypeVar("ValidatorFunction", bound=Callable[[Row, Mapping[str, str]], Any])
GuardFunction = TypeVar("GuardFunction", bound=Callable[[Any], Any])
MetricFunction = TypeVar("MetricFunction", bound=Callable[[Any], Iterable[Any]])
OperatorFunction = TypeVar("OperatorFunction", bound=Callable[[Any, Any], Awaitable[Any]])


@dataclass(frozen=True)
class _Declared:
    """What a decorator recorded about its function: the arguments of that kind's class."""

    kind: Kind
    name: str
    facts: Mapping[str, Any]


def _mark(function: Any, kind: Kind, name: str, facts: Mapping[str, Any]) -> None:
    if not inspect.isfunction(function):
        raise TypeError(f"@{kind} needs a function, not {type(function).__name__}")
    known = getattr(function, _MARK, ())
    setattr(function, _MARK, (*known, _Declared(kind, name, facts)))


def operator(
    step: str,
    name: str,
    params: type[Params] = Params,
    *,
    needs_labels: bool = False,
    reads: Sequence[str] = (),
    per_slot: bool = False,
) -> Callable[[OperatorFunction], OperatorFunction]:
    """Declare an operator: an `async` function of a `StepInput` and its parameters.

    Args:
        step: vocabularies, contexts, seeds, instances, labels or corrected_set.
        name: its name in recipes and under `steps` of a task.
        params: the model of its parameters; `LLMParams` if it calls a model.
        needs_labels: whether it requires a task with labels.
        reads: keys of the task that it reads besides those that its step reads anyway.
        per_slot: for contexts: row i belongs to slot i only.
    """

    def declare(run: OperatorFunction) -> OperatorFunction:
        facts = {"step": step, "params": params, "needs_labels": needs_labels,
                 "reads": tuple(reads), "per_slot": per_slot}  # fmt: skip
        _mark(run, "operator", name, facts)
        return run

    return declare


def validator(
    name: str, *, reads: Sequence[str], fills: Sequence[str] = (), labels: Sequence[str] = ()
) -> Callable[[ValidatorFunction], ValidatorFunction]:
    """Declare a validator: a function of a row and its roles that returns the problem or None.

    Args:
        name: its name in task files.
        reads: roles that name a field that the validator reads.
        fills: roles that name a derived field; the validator sets it in the row.
        labels: roles that name a label.
    """

    def declare(check: ValidatorFunction) -> ValidatorFunction:
        facts = {"reads": tuple(reads), "fills": tuple(fills), "labels": tuple(labels)}
        _mark(check, "validator", name, facts)
        return check

    return declare


def guard(name: str) -> Callable[[GuardFunction], GuardFunction]:
    """Declare a guard: a function of a `Written` text that returns the problem or None.

    Args:
        name: its name in task files.
    """

    def declare(check: GuardFunction) -> GuardFunction:
        _mark(check, "guard", name, {})
        return check

    return declare


def metric(
    name: str,
    *,
    words: str,
    says: str,
    share: bool = False,
    better: Literal["lower", "higher"] | None = None,
) -> Callable[[MetricFunction], MetricFunction]:
    """Declare a metric: a function of `ReportInputs` that returns figures (`Measure`).

    Args:
        name: its name in gates and in the table `quality_report`.
        words: its name in a sentence, as the subject: `polite rows`.
        says: its definition.
        share: whether it is a share from 0 to 1, shown as a percentage.
        better: the end that is better; None if neither is.
    """

    def declare(measure: MetricFunction) -> MetricFunction:
        facts = {"words": words, "says": says, "share": share, "better": better}
        _mark(measure, "metric", name, facts)
        return measure

    return declare


def collected(module: ModuleType, source: str, version: str, file: str) -> PluginSet:
    """Return the plug-ins that a module declares.

    Args:
        module: the imported module; functions that it imports do not count.
        source: see `Code`.
        version: see `Code`.
        file: how messages name the module's file.

    Raises:
        SpecError: a declaration is wrong.
    """
    found = PluginSet()
    for function in list(vars(module).values()):
        if not inspect.isfunction(function) or function.__module__ != module.__name__:
            continue
        for one in getattr(function, _MARK, ()):
            place = f"{file}:{function.__code__.co_firstlineno}"
            if not isinstance(one.name, str) or not _NAME.fullmatch(one.name):
                raise SpecError(
                    f"{place}: {one.name!r} is not a valid name for a {one.kind}; use lower-case "
                    "letters, digits and underscores"
                )
            code = Code(one.kind, one.name, source, version, place)
            _check_signature(function, code)
            found = found.joined(_MAKE[one.kind](function, one.facts, code))
    return found


def _check_signature(function: Any, code: Code) -> None:
    takes = _TAKES[code.kind]
    signature = inspect.signature(function)
    try:
        signature.bind(*takes)
    except TypeError:
        wanted = ", ".join(takes)
        raise SpecError(
            f"{code.place}: the function of the {code.kind} '{code.name}' must take ({wanted}), "
            f"but takes {signature}"
        ) from None
    is_async = inspect.iscoroutinefunction(function)
    if is_async != (code.kind == "operator"):
        form = "`async def`" if code.kind == "operator" else "`def`, not `async def`"
        raise SpecError(
            f"{code.place}: the function of the {code.kind} '{code.name}' must be declared with "
            f"{form}"
        )


def _not_built_in(code: Code, known: Iterable[str]) -> None:
    if code.name in known:
        raise SpecError(
            f"{code.place}: there is a built-in {code.kind} '{code.name}'; choose another name"
        )


def _operator(function: Any, facts: Mapping[str, Any], code: Code) -> PluginSet:
    step, params = facts["step"], facts["params"]
    if step not in RECIPE_STEP:
        raise SpecError(f"{code.place}: unknown step '{step}'; {nearest(step, RECIPE_STEP)}")
    if not (inspect.isclass(params) and issubclass(params, Params)):
        raise SpecError(f"{code.place}: `params` must be a class that extends `Params`")
    _not_built_in(code, operators(step))

    @wraps(function)
    async def run(given: Any, chosen: Any) -> Any:
        try:
            return await function(given, chosen)
        except TargenError:
            raise
        except Exception as error:
            raise failed(code, function, error) from error

    made = Operator(
        step, code.name, params, run, None, facts["needs_labels"], facts["reads"],
        facts["per_slot"], code=code,
    )  # fmt: skip
    return PluginSet(operators={(step, code.name): made})


def _validator(function: Any, facts: Mapping[str, Any], code: Code) -> PluginSet:
    from targen.tasks.validators import VALIDATORS  # noqa: PLC0415 - it imports tasks

    _not_built_in(code, VALIDATORS)
    roles = [*facts["reads"], *facts["fills"], *facts["labels"]]
    odd = [r for r in roles if not isinstance(r, str) or not r.isidentifier() or r == "language"]
    if odd or len(set(roles)) < len(roles) or not roles:
        raise SpecError(
            f"{code.place}: the roles of '{code.name}' must be different names, and at least one; "
            "`language` is reserved"
        )
    checked = _answering(function, code)

    def check(row: Row, of: Mapping[str, str]) -> str | None:
        problem = checked(row, of)
        for role in facts["fills"] if problem is None else ():
            if row.get(of[role]) is None:
                raise PluginError(
                    f"{code.place}: the validator '{code.name}' found no problem, but did not set "
                    f"the field of the role `{role}`, {of[role]}."
                )
        return problem

    by_role = {role: role in facts["fills"] for role in roles}
    made = Validator(code.name, by_role, check, frozenset(facts["labels"]), code)
    return PluginSet(validators={code.name: made})


def _guard(function: Any, facts: Mapping[str, Any], code: Code) -> PluginSet:
    del facts
    return PluginSet(guards={code.name: Guard(code.name, _answering(function, code), code)})


def _metric(function: Any, facts: Mapping[str, Any], code: Code) -> PluginSet:
    _not_built_in(code, metrics())

    def measure(inputs: Any) -> list[Any]:
        try:
            return list(function(inputs))
        except Exception as error:
            raise failed(code, function, error) from error

    return PluginSet(
        metrics={code.name: PluginMetric(code.name, measure=measure, code=code, **facts)}
    )


_MAKE: Final[Mapping[Kind, Callable[[Any, Mapping[str, Any], Code], PluginSet]]] = {
    "operator": _operator,
    "validator": _validator,
    "guard": _guard,
    "metric": _metric,
}


def _answering(function: Any, code: Code) -> Callable[..., str | None]:
    """Return a check that reports its failures, and answers of a wrong type, as `PluginError`."""

    @wraps(function)
    def check(*given: Any) -> str | None:
        try:
            problem = function(*given)
        except Exception as error:
            raise failed(code, function, error) from error
        if problem is not None and not (isinstance(problem, str) and problem.strip()):
            raise PluginError(
                f"{code.place}: the {code.kind} '{code.name}' returned {problem!r}; return the "
                "problem as text, or None."
            )
        return problem

    return check


def failed(code: Code, function: Any, error: Exception) -> PluginError:
    """Return the error of a function that failed, with the line of its file."""
    file = function.__code__.co_filename
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == file]
    start = code.place.rpartition(":")[0]
    place = f"{start}:{lines[-1]}" if lines else code.place
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return PluginError(f"{place}: the {code.kind} '{code.name}' failed: {said}")
