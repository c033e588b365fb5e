"""Reports the progress of a run every few seconds."""

import asyncio
import logging
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

_SUMS = (
    "requests",
    "calls",
    "from_store",
    "retried",
    "throttled",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "uncounted",
)


@dataclass(slots=True)
class Stats:
    """Counts of one engine.

    Attributes:
        calls: answers paid for now; `retried`: tries beyond the first; `from_store`: requests
            answered without a call; `failed`: requests that got no answer.
        prompt_tokens, completion_tokens: as far as they are known.
        cached_tokens: part of `prompt_tokens` that the endpoint read from its prompt cache; None
            if it reported none.
        uncounted: answers whose tokens the endpoint did not count.
        cost_usd: cost of the calls made now; None if a price is unknown.
        simulated: True if the simulator answered, so that the price means nothing.
        seconds: from the opening of the engine to its closing.
    """

    model: str = ""
    simulated: bool = False
    requests: int = 0
    calls: int = 0
    from_store: int = 0
    retried: int = 0
    throttled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    uncounted: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    latencies: "array[float]" = field(default_factory=lambda: array("f"), repr=False)

    def paid(
        self,
        prompt: int | None,
        completion: int | None,
        cost: float | None,
        latency: float,
        cached: int | None = None,
    ) -> None:
        """Count one answer; tokens as counted by the endpoint, cost in US dollars."""
        self.calls += 1
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0
        if cached is not None:
            self.cached_tokens = (self.cached_tokens or 0) + cached
        self.uncounted += prompt is None or completion is None
        known = self.cost_usd is not None and cost is not None
        self.cost_usd = (self.cost_usd or 0.0) + (cost or 0.0) if known else None
        self.latencies.append(latency)

    def plus(self, *others: "Stats") -> "Stats":
        """Return the counts of several engines of one step together."""
        every = [self, *others]
        used = [one.model for one in every if one.requests] or [self.model]
        costs = [one.cost_usd for one in every]
        cached = [one.cached_tokens for one in every if one.cached_tokens is not None]
        return Stats(
            model=", ".join(dict.fromkeys(used)),
            simulated=any(one.simulated for one in every if one.requests or one is self),
            cached_tokens=sum(cached) if cached else None,
            cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
            seconds=max(one.seconds for one in every),
            latencies=array("f", [value for one in every for value in one.latencies]),
            **{name: sum(getattr(one, name) for one in every) for name in _SUMS},
        )

    def percentile(self, share: float) -> float | None:
        """Return the latency in seconds of the `share` quantile of the calls (nearest rank)."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-like metadata; tokens are None where not all are known."""
        return {
            "model": self.model,
            "simulated": self.simulated,
            "requests": self.requests,
            "calls": self.calls,
            "from_store": self.from_store,
            "retried": self.retried,
            "throttled": self.throttled,
            "failed": self.failed,
            "prompt_tokens": None if self.uncounted else self.prompt_tokens,
            "completion_tokens": None if self.uncounted else self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "cost_usd": self.cost_usd,
            "seconds": round(self.seconds, 3),
            "latency_p50_s": self.percentile(0.50),
            "latency_p95_s": self.percentile(0.95),
            "latency_p99_s": self.percentile(0.99),
        }


LOGGER = logging.getLogger("targen")
EVERY_S = 5.0

_LOOK_S = 0.25
_OVER_S = 5.0
_MOST_OVER_S = 600.0
_SOME = 8
"""Speed is measured over at least this many outcomes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run.

    Attributes:
        task, step: what it makes.
        done: outcomes ready; `total`: number of requests, None if unknown.
        from_store, failed, calls: as in `Stats`.
        output_tokens: of the calls made now.
        in_flight: calls sent and not answered; `oldest_s`: the age of the oldest in seconds.
        down: True while the endpoint as a whole does not answer.
        per_s: calls per second over the last few seconds, longer if calls take longer.
        tokens_per_s: output tokens per second over the same time.
        limit: calls per second that the endpoint seems to allow, None until one is found.
        tokens: prompt and output together; `cost_usd`: None where a price is unknown.
        left_s: seconds left at the current speed, None if unknown.
        ended: True in the last report of an engine.
    """

    task: str
    step: str
    done: int
    total: int | None
    from_store: int
    failed: int
    calls: int
    limit: float | None
    tokens: int
    cost_usd: float | None
    output_tokens: int = 0
    in_flight: int = 0
    oldest_s: float = 0.0
    down: bool = False
    per_s: float = 0.0
    tokens_per_s: float = 0.0
    left_s: float | None = None
    ended: bool = False

    def line(self) -> str:
        """Return all of it in one line."""
        total = "" if self.total is None else f"/{self.total}"
        limit = "" if self.limit is None else f" (limit {self.limit:.0f}/s)"
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}"
        left = "" if self.left_s is None else f", {duration_text(self.left_s)} left"
        speed = (
            f"{self.per_s:.1f} calls/s" if self.per_s >= 1 else f"{60 * self.per_s:.1f} calls/min"
        )
        waiting = ", endpoint not answering" if self.down else ""
        return (
            f"{self.done}{total} done, {speed}{limit}, {self.tokens_per_s:.0f} output tokens/s, "
            f"{self.in_flight} in flight (oldest {duration_text(self.oldest_s)}){waiting}, "
            f"{self.from_store} from the store, {self.failed} failed, {self.tokens} tokens, "
            f"{cost}{left}"
        )


def duration_text(seconds: float) -> str:
    """Return a time as people read it: `8 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


Watcher = Callable[[Progress], None]

_WATCHERS: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Report the progress of every engine of this process to `watcher` a few times a second.

    `watcher` is called on the engine's event loop, so it must be quick and must never raise.
    """
    _WATCHERS.append(watcher)
    try:
        yield
    finally:
        _WATCHERS.remove(watcher)


class Clock:
    """Samples an engine: a few times a second for watchers, every few seconds for the log."""

    def __init__(
        self,
        look: Callable[[], Progress],
        report: Watcher | None,
        every_s: float = EVERY_S,
    ) -> None:
        """Start the clock on the running loop.

        Args:
            look: returns the figures; speed and time left are added here.
            report: gets them as often as the log.
            every_s: seconds between reports.
        """
        self._look, self._report, self._every_s = look, report, every_s
        self._due = time.monotonic() + every_s
        self._seen: deque[tuple[float, Progress]] = deque([(time.monotonic(), look())])
        self._next()

    def _next(self) -> None:
        wait = min(_LOOK_S, self._every_s) if _WATCHERS else self._due - time.monotonic()
        self._handle = asyncio.get_running_loop().call_later(max(wait, 0.01), self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        figures = self._figures(now)
        for watcher in _WATCHERS:
            watcher(figures)
        if now >= self._due - 0.01:
            self._due = now + self._every_s
            LOGGER.info("%s", figures.line())
            if self._report is not None:
                self._report(figures)
        self._next()

    def _figures(self, now: float) -> Progress:
        """Return the figures with the speed since a moment some seconds ago.

        If answers are slow, that moment is further back, so that a few answers fall after it.
        """
        figures = self._look()
        while len(self._seen) > 1 and self._seen[1][0] <= now - _OVER_S:
            at, later = self._seen[1]
            if figures.done - later.done < _SOME and at > now - _MOST_OVER_S:
                break
            self._seen.popleft()
        at, before = self._seen[0]
        seconds = max(now - at, 1e-6)
        done_per_s = (figures.done - before.done) / seconds
        left = None
        if figures.total is not None and done_per_s > 0:
            left = max(0, figures.total - figures.done) / done_per_s
        self._seen.append((now, figures))
        return replace(
            figures,
            per_s=(figures.calls - before.calls) / seconds,
            tokens_per_s=(figures.output_tokens - before.output_tokens) / seconds,
            left_s=left,
        )

    def stop(self) -> None:
        """Stop reporting, after one last report to the watchers."""
        self._handle.cancel()
        last = replace(self._figures(time.monotonic()), ended=True)
        for watcher in _WATCHERS:
            watcher(last)
