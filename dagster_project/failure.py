"""Why a run failed, in one message."""

from collections.abc import Iterable

from dagster import (
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterExecutionInterruptedError,
)

from dagster_project.dagster_internals import SerializableErrorInfo

INTERRUPTED = "interrupted; what was paid for is stored, and the next run goes on from it"


def explain(events: Iterable[DagsterEvent]) -> tuple[str, str | None]:
    """Return the message for the user, and a traceback where the mistake is ours.

    The message names the step, not the task.

    The first failed step counts: what fails after it fails because of it.
    """
    refused: str | None = None
    for event in events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            refused = refused or _refusal(event)
        elif event.event_type == DagsterEventType.STEP_FAILURE:
            return (refused, None) if refused else _step_failure(event)
        elif event.event_type == DagsterEventType.PIPELINE_FAILURE:
            return _run_failure(event)
    return "the run ended without success and without saying why", None


def _refusal(event: DagsterEvent) -> str | None:
    found = event.asset_check_evaluation_data
    if found.passed or found.severity != AssetCheckSeverity.ERROR:
        return None
    # A contract; gates and expectations are several.
    broken = "is broken" if found.check_name == "contract" else "do not hold"
    return f"{found.asset_key.path[-1]}: its {found.check_name} {broken}: {found.description}"


def _step_failure(event: DagsterEvent) -> tuple[str, str | None]:
    found = event.step_failure_data
    if found.user_failure_data and found.user_failure_data.description:
        return f"{event.step_key}: {found.user_failure_data.description}", None
    if found.error is None:
        return f"{event.step_key}: failed without saying why", None
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
