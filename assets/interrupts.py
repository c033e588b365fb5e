"""A clean end for a step that is interrupted: by Ctrl-C, a cancelled run, or the system."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterExecutionInterruptedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Cancel the running task on SIGINT and SIGTERM while the block runs.

    Dagster's own handler raises wherever the event loop happens to be, and leaves the engine no
    time to store the answers that have arrived.

    Raises:
        DagsterExecutionInterruptedError: a signal came, and the task has ended.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        raise DagsterExecutionInterruptedError from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
