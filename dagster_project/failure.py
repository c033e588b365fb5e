"""Explains why a run failed."""

from collections.abc import Iterable

from dagster import (
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterExecutionInterruptedError,
)

from dagster_project.dagster_internals import SerializableErrorInfo

INTERRUPTED = "interrupted; what was paid for is stored, and the next run uses it"


def explain(events: Iterable[DagsterEvent]) -> tuple[str, str | None]:
    """Return a message, and a traceback for unexpected errors.

    The message is about the first failed step, because later failures follow from it. It names the
    step, not the task.
    """
    blocked: list[str] = []
    for event in events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            blocked += _blocking_check(event)
        elif event.event_type == DagsterEventType.STEP_FAILURE:
            return ("\n".join(blocked), None) if blocked else _step_failure(event)
        elif event.event_type == DagsterEventType.PIPELINE_FAILURE:
            return _run_failure(event)
    return "the run failed without an error message", None


def _blocking_check(event: DagsterEvent) -> list[str]:
    found = event.asset_check_evaluation_data
    if found.passed or found.severity != AssetCheckSeverity.ERROR or not found.blocking:
        return []
    asset, check = found.asset_key.path[-1], found.check_name
    if check == "contract":
        return [f"{asset}: its contract is broken: {found.description}"]
    if check == "expectations":
        return [f"{asset}: its expectations do not hold: {found.description}"]
    return [f"{asset}: {check} failed: {found.description}"]


def _step_failure(event: DagsterEvent) -> tuple[str, str | None]:
    found = event.step_failure_data
    if found.user_failure_data and found.user_failure_data.description:
        return f"{event.step_key}: {found.user_failure_data.description}", None
    if found.error is None:
        return f"{event.step_key}: failed without an error message", None
    if _interrupted(found.error):
        return INTERRUPTED, None
    innermost = found.error
    while innermost.cause is not None:
        innermost = innermost.cause
    message = f"{event.step_key}: unexpected {innermost.message.strip()}"
    return message, found.error.to_string()


def _interrupted(error: SerializableErrorInfo | None) -> bool:
    while error is not None:
        if error.cls_name == DagsterExecutionInterruptedError.__name__:
            return True
        error = error.cause
    return False


def _run_failure(event: DagsterEvent) -> tuple[str, str | None]:
    error = event.job_failure_data.error
    if error is None:
        return event.message or "the run failed", None
    if _interrupted(error):
        return INTERRUPTED, None
    return f"the run could not start: {error.message.strip()}", error.to_string()
