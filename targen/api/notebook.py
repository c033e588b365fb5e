"""Coroutines and pages inside a notebook."""

import asyncio
import html
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def waited(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, in a thread of its own if an event loop runs (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="targen")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def framed(page: str) -> str:
    """Return a page as a frame that cannot run script or reach the notebook."""
    inner = html.escape(page, quote=True)
    return f'<iframe sandbox srcdoc="{inner}" width="100%" height="600"></iframe>'
