"""How a run is getting on, every few seconds.

Here belong the figures, their one line for the log, and the clock. Where they are shown besides
the log is the caller's matter: give the engine a callback.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

LOGGER = logging.getLogger("targen")
EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        done: outcomes ready; `total`: requests in all, None where nobody knows.
        from_store, failed, calls: as in `Stats`.
        per_s: calls per second since the last report.
        limit: calls per second that the endpoint seems to allow, None while none was found.
        tokens: prompt and output together; `cost_usd`: None where a price is unknown.
        left_s: seconds left at the present speed, None where it cannot be told.
    """

    done: int
    total: int | None
    from_store: int
    failed: int
    calls: int
    per_s: float
    limit: float | None
    tokens: int
    cost_usd: float | None
    left_s: float | None

    def line(self) -> str:
        """Return all of it in one line."""
        total = "" if self.total is None else f"/{self.total}"
        limit = "" if self.limit is None else f" (limit {self.limit:.0f}/s)"
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}"
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        return (
            f"{self.done}{total} done, {self.per_s:.1f} calls/s{limit}, "
            f"{self.from_store} from the store, {self.failed} failed, {self.tokens} tokens, "
            f"{cost}{left}"
        )


class Clock:
    """Calls `look` every few seconds and reports what it returns."""

    def __init__(
        self,
        look: Callable[[float], Progress],
        report: Callable[[Progress], None] | None,
        every_s: float = EVERY_S,
    ) -> None:
        """Start the clock on the running loop.

        Args:
            look: returns the figures; gets the seconds since the last look.
            report: gets them besides the log.
            every_s: seconds between two reports.
        """
        self._look, self._report, self._every_s = look, report, every_s
        self._last = time.monotonic()
        self._handle = asyncio.get_running_loop().call_later(every_s, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        figures = self._look(now - self._last)
        self._last = now
        LOGGER.info("%s", figures.line())
        if self._report is not None:
            self._report(figures)
        self._handle = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def stop(self) -> None:
        """Report no more."""
        self._handle.cancel()
