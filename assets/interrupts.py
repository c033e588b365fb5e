"""Clean shutdown of a step on Ctrl-C, a canceled run, SIGTERM, or a closed terminal."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterExecutionInterruptedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def canceled_by_signals() -> Iterator[None]:
    """Cancel the current asyncio task on SIGINT, SIGTERM and SIGHUP while the block runs.

    Dagster's handler raises at an arbitrary point of the event loop, so the engine could not store
    the answers that have arrived.

    Raises:
        DagsterExecutionInterruptedError: a signal arrived, and the task has ended.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]  # under nohup
    for number in before:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        raise DagsterExecutionInterruptedError from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
