"""Classes for the `dagster.yaml` of one machine: logs of runs as files, and killed runs found."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any, cast

from dagster import DagsterRun, DefaultRunLauncher
from dagster._config.config_schema import UserConfigSchema
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClassData, deserialize_value
from dagster._utils import ensure_file, touch_file

PROCESS_TAG = "targen/process"
"""Tag of a run that no launcher started: the process that makes it."""


class FileComputeLogManager(LocalComputeLogManager):
    """Keeps the output of runs in files, without the processes that Dagster's own class starts.

    Attributes:
        mirror: whether Python's output also goes to the terminal, instead of only to the files.
            Output that bypasses Python then goes to the terminal only.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        """Keep the files in DAGSTER_HOME, where Dagster's own class does."""
        home = Path(os.environ.get("DAGSTER_HOME", "")).expanduser()
        super().__init__(str(home / "storage"), inst_data=inst_data)
        self.mirror = False

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the configuration, which is empty."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "FileComputeLogManager":
        """Return the manager."""
        return cls(inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Write the output of this process to the run's files while the block runs."""
        files = [self.get_captured_local_path(log_key, name) for name in ("out", "err")]
        with ExitStack() as stack:
            for path, stream, redirect in zip(
                files, (sys.stdout, sys.stderr), (redirect_stdout, redirect_stderr), strict=True
            ):
                ensure_file(path)
                if self.mirror:
                    file = stack.enter_context(
                        Path(path).open("a", buffering=1, encoding="utf-8", errors="replace")
                    )
                    both = cast("IO[str]", _Tee(stream, file))
                    stack.enter_context(redirect(both))
                else:
                    stack.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        touch_file(self.get_captured_local_path(log_key, "complete"))


class _Tee:
    """A text stream that also writes to a file."""

    def __init__(self, stream: IO[str], file: IO[str]) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class MonitoredRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, which also finds runs whose process has ended.

    Dagster's own class reports nothing, so a killed run stays started forever.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the run's process is alive."""
        alive = process_alive(run.tags[PROCESS_TAG]) if PROCESS_TAG in run.tags else None
        if alive is None and GRPC_INFO_TAG in run.tags:
            alive = self._known_to_code_server(run)
        if alive is False:
            text = "the run's process has ended without reporting: it was killed"
            return CheckRunHealthResult(WorkerStatus.FAILED, text)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _known_to_code_server(self, run: DagsterRun) -> bool:
        """Return whether the code server that started a run has its process."""
        from dagster._core.errors import DagsterUserCodeUnreachableError  # noqa: PLC0415
        from dagster._grpc.types import (  # noqa: PLC0415 - slow to import
            CanCancelExecutionRequest,
            CanCancelExecutionResult,
        )

        client = cast("Any", self)._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return True
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        except DagsterUserCodeUnreachableError:
            return False
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel


def this_process() -> str:
    """Return the value of `PROCESS_TAG` for this process."""
    return json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "since": _since("self")})


def process_alive(tag: str) -> bool | None:
    """Return whether the process of a `PROCESS_TAG` runs; None if it is of another machine."""
    try:
        known = json.loads(tag)
        host, pid, since = known["host"], int(known["pid"]), known["since"]
    except (ValueError, KeyError, TypeError):
        return None
    if host != os.uname().nodename:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # Another process may have the number by now.
    return since is None or _since(str(pid)) == since


def _since(pid: str) -> str | None:
    """Return when a process started, in ticks since the machine did; None if unknown."""
    try:
        # The name of the program, in parentheses, may contain spaces.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
