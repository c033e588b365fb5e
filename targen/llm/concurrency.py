"""How many calls in flight an endpoint can use, found from latency and throughput.

By Little's law, an endpoint that answers calls of `tokens` output tokens after `latency` seconds
delivers `in flight * sum(tokens) / sum(latency)` tokens per second. The window starts small and
doubles while that figure rises by a third or more. When it does not, the endpoint queues what
exceeds its slots: the window goes back a step and is held. From time to time a step up or
down is tried, so that the window follows an endpoint that gets faster or slower.

Source of the law: J. D. C. Little, "A proof for the queuing formula L = lambda W", Operations
Research 9(3), 1961.
"""

import math
from dataclasses import dataclass, field

FIRST_WINDOW = 4.0
DOUBLING_GAIN = 1.33
"""The throughput gain that doubling the window must bring; with free slots it is 2."""
STEP = 1.5
BACK = 1.25
"""After a doubling without a gain, the window becomes the previous one times this."""
HOLD_S = 20.0
MOST_HOLD_S = 300.0
_HOLD_LATENCIES = 6.0
_PLAINLY = 0.95
_FULL = 0.8
"""A call counts as evidence about a window if at least this share of it was in flight."""


@dataclass(slots=True)
class _Trial:
    """What the calls sent at one window size have shown."""

    window: float
    started: float
    calls: int = 0
    tokens: float = 0.0
    latency: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        return self.window * self.tokens / max(self.latency, 1e-9)


@dataclass(slots=True)
class ConcurrencyController:
    """Finds the number of calls in flight that is worthwhile.

    Attributes:
        most: the user's limit.
        window: the current number; at least 1.
    """

    most: float
    window: float = FIRST_WINDOW
    _trial: _Trial | None = None
    _base: _Trial | None = None
    _growing: bool = True
    _up_next: bool = True
    _hold_s: float = HOLD_S
    _held_since: float = field(default=-math.inf)
    _last_latency: float = 0.0

    def __post_init__(self) -> None:
        self.window = max(1.0, min(self.window, self.most))

    def answered(self, sent_at: float, now: float, tokens: int | None, in_flight: int) -> None:
        """Note an answer.

        Args:
            sent_at: when its call was sent, in monotonic seconds.
            now: the time.
            tokens: its output tokens; None counts as one.
            in_flight: calls in flight just after it was sent, itself included.
        """
        if in_flight < _FULL * math.floor(self.window):
            return
        trial = self._trial
        if trial is None or trial.window != self.window:
            trial = self._trial = _Trial(self.window, min(now, sent_at))
        if sent_at < trial.started:
            return
        trial.calls += 1
        trial.tokens += max(tokens or 1, 1)
        trial.latency += now - sent_at
        self._last_latency = now - sent_at
        if trial.calls >= max(4, math.ceil(1.5 * self.window)) or self._plainly_better(trial):
            self._judge(trial, now)

    def _plainly_better(self, trial: _Trial) -> bool:
        """Return whether half of the calls already show that the endpoint has free slots."""
        base = self._base
        return (
            self._growing
            and base is not None
            and trial.calls >= max(4, trial.window / 2)
            and trial.tokens_per_s >= _PLAINLY * (trial.window / base.window) * base.tokens_per_s
        )

    def resume(self, window: float) -> None:
        """Start at half of what an earlier engine found; no effect after the first answer."""
        if self._trial is None and self._base is None:
            self.window = max(self.window, min(window / 2, self.most))

    def _judge(self, trial: _Trial, now: float) -> None:
        base, self._trial = self._base, None
        if base is None or base.window == trial.window:
            # The first look at this window, or a fresh one.
            self._base = trial
            if self._growing:
                self._go(2 * trial.window, now)
            elif now - self._held_since >= self._hold_s:
                self._probe(trial, now)
            return
        gain = trial.tokens_per_s / max(base.tokens_per_s, 1e-9)
        up = trial.window > base.window
        if up and self._growing:
            # At the user's limit, a doubling may fall short of 2.
            wanted = 1 + (DOUBLING_GAIN - 1) * (trial.window / base.window - 1)
            if gain >= wanted:
                self._base = trial
                self._go(2 * trial.window, now)
            else:
                self._hold(base.window * (BACK if trial.window >= BACK * base.window else 1), now)
        elif up and gain >= 1.05 + 0.5 / math.sqrt(trial.calls):
            self._base, self._growing, self._hold_s = trial, True, HOLD_S
            self._go(2 * trial.window, now)
        elif not up and gain >= 1.0:
            self._hold(trial.window, now)
        else:
            self._hold(base.window, now)
            self._hold_s = min(2 * self._hold_s, MOST_HOLD_S)

    def _go(self, window: float, now: float) -> None:
        if self.window >= self.most:
            self._hold(self.window, now)
        else:
            self._set(window, now)

    def _hold(self, window: float, now: float) -> None:
        self._growing, self._held_since = False, now
        self._hold_s = max(self._hold_s, _HOLD_LATENCIES * self._last_latency)
        self._base = None
        self._set(window, now)

    def _probe(self, base: _Trial, now: float) -> None:
        """Try one step up or down, alternately."""
        up, self._up_next = self._up_next, not self._up_next
        target = base.window * STEP if up else base.window / STEP
        if max(1.0, min(target, self.most)) == base.window:
            self._hold(base.window, now)
        else:
            self._set(target, now)

    def _set(self, window: float, now: float) -> None:
        self.window = max(1.0, min(window, self.most))
        self._trial = _Trial(self.window, now)
