"""Alerts, sent to a real server on loopback: what it gets, and what is never said."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    Failure,
    MaterializeResult,
    asset,
    build_run_status_sensor_context,
    materialize,
)

from dagster_project import alerts
from targen.errors import TargenError
from targen.settings import Settings

_settings = Settings.from_environment


@asset
def failing() -> None:
    raise Failure(description="The endpoint says no. Check OPENAI_API_KEY.", allow_retries=False)


@asset(check_specs=[AssetCheckSpec("gates", asset="warning")])
def warning():  # type: ignore[no-untyped-def] # Dagster wants no annotation with checks
    check = AssetCheckResult(
        check_name="gates",
        passed=False,
        severity=AssetCheckSeverity.WARN,
        description="label_noise is 0.2, at most 0.1",
    )
    return MaterializeResult(check_results=[check])


def told(made: Any, name: str, success: bool) -> None:
    with DagsterInstance.ephemeral() as instance:
        result = materialize([made], instance=instance, raise_on_error=False)
        events = [e for e in result.all_events if e.is_job_event]
        context = build_run_status_sensor_context(
            sensor_name=name,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=events[-1],
        )
        on_failure, on_warnings = alerts.build(_settings())
        (on_warnings(context) if success else on_failure(context.for_run_failure()))


def test_a_failed_run_is_told_with_its_reason(webhook: list[dict[str, Any]]) -> None:
    told(failing, "alert_on_failure", success=False)
    (body,) = webhook
    assert body["message"] == "failing: The endpoint says no. Check OPENAI_API_KEY."
    assert body["what"] == "failed" and body["run_id"] in body["text"]


def test_a_gate_that_warns_is_told(webhook: list[dict[str, Any]]) -> None:
    told(warning, "alert_on_warnings", success=True)
    (body,) = webhook
    assert body["message"] == "warning, gates: label_noise is 0.2, at most 0.1"


def test_the_address_is_never_said(
    webhook: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_ALERT_WEBHOOK", "http://127.0.0.1:9/token-canary")
    monkeypatch.setattr(alerts, "_PAUSES_S", ())
    with pytest.raises(TargenError, match="cannot be reached") as unreachable:
        alerts.send({}, _settings().alert_webhook)
    assert "canary" not in str(unreachable.value)
    monkeypatch.delenv("TARGEN_ALERT_WEBHOOK")
    with pytest.raises(TargenError, match="is not set"):
        alerts.send({}, _settings().alert_webhook)


def test_an_answer_of_failure_is_an_error(
    webhook: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = _settings().alert_webhook
    monkeypatch.setenv("TARGEN_ALERT_WEBHOOK", f"{address}/broken")
    monkeypatch.setattr(alerts, "_PAUSES_S", (0.0, 0.0))
    with pytest.raises(TargenError, match="answered with status 500, 3 times"):
        alerts.send({"text": "x"}, _settings().alert_webhook)
    assert len(webhook) == 3


def test_what_a_check_quotes_calls_nobody(webhook: list[dict[str, Any]]) -> None:
    run = DagsterRun("dataset")
    alerts.send(
        alerts._body(run, "warns", "row <!channel> & <https://a|b> @everyone ![x](//evil) \x1b[1m"),
        _settings().alert_webhook,
    )
    text = webhook[0]["text"]
    assert "row &lt;!channel&gt; &amp; &lt;https://a|b&gt;" in text
    assert not any(one in text for one in ("@everyone", "](", "\x1b"))


def test_they_run_only_where_there_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TARGEN_ALERT_WEBHOOK", raising=False)
    assert {s.default_status for s in alerts.build(_settings())} == {DefaultSensorStatus.STOPPED}
    monkeypatch.setenv("TARGEN_ALERT_WEBHOOK", "http://127.0.0.1:9/")
    assert {s.default_status for s in alerts.build(_settings())} == {DefaultSensorStatus.RUNNING}


def test_an_answer_without_end_is_not_waited_for() -> None:
    ended = threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            while not ended.wait(0.05):
                self.wfile.write(b"x")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sending = threading.Thread(
        target=alerts.send, args=({}, f"http://127.0.0.1:{server.server_port}/"), daemon=True
    )
    sending.start()
    sending.join(20)
    assert not sending.is_alive()
    ended.set()
    server.shutdown()
    server.server_close()
