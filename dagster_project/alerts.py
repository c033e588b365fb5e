"""Alerts about failed runs and failed checks, sent to a webhook.

Two sensors report the runs that Dagster launches for the code location. Dagster's run sensors
ignore runs without a code location, so runs that start in the shell call `report` themselves.
"""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunStatusSensorContext,
    SensorDefinition,
    run_failure_sensor,
    run_status_sensor,
)

from assets.checks import ALL_TASKS
from dagster_project import failure
from dagster_project.dagster_internals import PARTITION_NAME_TAG
from targen.errors import TargenError
from targen.settings import Settings, variable
from targen.wording import printable

_VARIABLE = variable("alert_webhook")
_TIMEOUT_S = 10.0
_PAUSES_S = (1.0, 4.0)


def build(settings: Settings) -> list[SensorDefinition]:
    """Return the two sensors; they are on by default if TARGEN_ALERT_WEBHOOK is set."""
    webhook = settings.alert_webhook
    status = DefaultSensorStatus.RUNNING if webhook else DefaultSensorStatus.STOPPED

    @run_failure_sensor(
        name="alert_on_failure",
        default_status=status,
        description="Posts the reason of a failed run to TARGEN_ALERT_WEBHOOK.",
    )
    def on_failure(context: RunFailureSensorContext) -> None:
        send(_failed(context.dagster_run, _events(context)), webhook)

    @run_status_sensor(
        run_status=DagsterRunStatus.SUCCESS,
        name="alert_on_warnings",
        default_status=status,
        description="Posts the failed checks of a successful run to TARGEN_ALERT_WEBHOOK.",
    )
    def on_warnings(context: RunStatusSensorContext) -> None:
        if (body := _warns(context.dagster_run, _events(context))) is not None:
            send(body, webhook)

    return [on_failure, on_warnings]


def report(
    run: DagsterRun, events: Sequence[DagsterEvent], success: bool, address: str | None
) -> None:
    """Post what the sensors would post about a run; does nothing if no address is set.

    Raises:
        TargenError: the request failed.
    """
    if address is None:
        return
    body = _warns(run, events) if success else _failed(run, events)
    if body is not None:
        send(body, address)


def checks(events: Iterable[DagsterEvent]) -> list[AssetCheckEvaluation]:
    """Return the check evaluations among the events of a run."""
    return [
        event.asset_check_evaluation_data
        for event in events
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION
    ]


def send(body: dict[str, Any], address: str | None) -> None:
    """Post `body` as JSON to the webhook at `address`.

    Raises:
        TargenError: no address is set, or the request failed. The message omits the address, which
            may contain a secret.
    """
    import httpx2  # noqa: PLC0415 - not when loading

    if address is None:
        raise TargenError(f"No alert was sent: {_VARIABLE} is not set.")
    # Dagster evaluates each run once, so an alert that fails now is never sent again.
    for pause in (*_PAUSES_S, None):
        try:
            # The content of the answer, which may have no end, is not read.
            with (
                httpx2.Client(timeout=_TIMEOUT_S) as client,
                client.stream("POST", address, json=body) as answer,
            ):
                status = answer.status_code
            if status < 300:
                return
            problem = f"answered with status {status}"
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            problem = f"cannot be reached ({type(error).__name__})"
        if pause is not None:
            time.sleep(pause)
    raise TargenError(f"No alert was sent: {_VARIABLE} {problem}, {len(_PAUSES_S) + 1} times.")


def _events(context: RunStatusSensorContext) -> list[DagsterEvent]:
    entries = context.instance.all_logs(context.dagster_run.run_id)
    return [entry.dagster_event for entry in entries if entry.dagster_event is not None]


def _failed(run: DagsterRun, events: Sequence[DagsterEvent]) -> dict[str, Any]:
    message, _ = failure.explain(events)
    warned = [_line(one) for one in checks(events) if _warned(one)]
    return _body(run, "failed", "\n".join([message, *warned]))


def _warns(run: DagsterRun, events: Sequence[DagsterEvent]) -> dict[str, Any] | None:
    missed = [_line(one) for one in checks(events) if _missed(one)]
    return _body(run, "warns", "\n".join(missed)) if missed else None


def _warned(check: AssetCheckEvaluation) -> bool:
    return _missed(check) and check.severity == AssetCheckSeverity.WARN


def _missed(check: AssetCheckEvaluation) -> bool:
    # Every task's own run has reported its gates.
    return not check.passed and check.check_name != ALL_TASKS


def _body(run: DagsterRun, what: str, message: str) -> dict[str, Any]:
    task = run.tags.get(PARTITION_NAME_TAG)
    subject = f"{run.job_name} of {task}" if task else run.job_name
    return {
        # The key that Slack, Mattermost, Teams and Discord's Slack format display.
        "text": _plain(f"TarGEN: {subject} {what} (run {run.run_id}): {message}"),
        "job": run.job_name,
        "task": task,
        "run_id": run.run_id,
        "what": what,
        "message": message,
    }


def _plain(text: str) -> str:
    """Return text without markup, mentions and links: checks quote rows.

    `<!channel>` and `@everyone` notify everyone, and `![](http://...)` loads a picture.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"@(?=\w)|\](?=\()", "\\g<0>\u2060", printable(text))


def _line(check: AssetCheckEvaluation) -> str:
    return f"{check.asset_key.path[-1]}, {check.check_name}: {check.description}"
