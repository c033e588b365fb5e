"""The rate limit of an endpoint, inferred from its refusals alone.

How it works. Most limits are token buckets. A refusal means that the bucket was empty at that
moment, so the number of calls that passed between two refusals, divided by the time between them,
is the bucket's rate, whatever its size. Sends start slowly and speed up with every call (`ramp`).
The first refusal cuts the rate sharply, and the rate climbs from there to the next refusal
(`climb`). From then on it is held at 0.99 of the estimate (`hold`), and after a while without a
refusal it creeps up again to see whether the limit has been raised. If two refusals are too close
together for an estimate, the rate is halved and climbs again, which also suits limits that are not
buckets.

Some endpoints refuse many calls at random, at any rate. So if refusals keep coming after few calls
even though the rate is lowered, it is doubled step by step (`trial`). At a real limit, twice the
rate meets far more refusals; if calls are refused at random, the share stays the same. Random
refusals no longer lower the rate (`free`) unless their share rises.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

FIRST_RATE = 64.0
MOST_RATE = 1e5
RAMP_PER_SEND = 5.0
HORIZON_S = 0.1
KEPT = 0.99
HOLD_S = 6.0
HASTY_S = 2.0
HASTE = 1.25
CLIMB_PER_S = 0.35
CREEP_PER_S = 0.01
CREEP_DOUBLES_S = 3.0
LEAST_RATE = 0.1
RARE_CALLS = 200
MOST_DOUBTS = 3
REST_CALLS = 3
REST_S = 0.3
SURE_CALLS = 10
SURE_S = 0.7
TRIAL_AFTER = 3
TRIAL_FACTOR = 4.0
TRIAL_CALLS = 30
TRIAL_S = 1.0
TRIAL_MOST_SHARE = 0.65
TRIAL_PAUSE = 20
PLAIN_CALLS = 10
PLAIN_SHARE = 0.8
FREE_ABOVE = 4.0
_MOST_MARKS = 300
_HISTORY_S = 12.0
_ALIVE_S = 2.0
SET_BACK_S = 0.5
"""From here on, a shared clock that shows less than before was set back."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send `count` calls, the first at `start`, the next every 1 / `rate` seconds.

    When `cuts` changes, all earlier permission is void. `chance` is the share of calls that are
    refused at any rate; None if refusals mean a limit.
    """

    start: float
    count: int
    rate: float
    cuts: int = 0
    chance: float | None = None


@dataclass(slots=True)
class Limit:
    """What is known about one endpoint's rate limit; times are in seconds on a shared clock.

    Attributes:
        rate: calls per second allowed now; `phase`: see the module.
        passed: calls granted and not refused, of all processes, since the row was made.
        next_at: when the next slot is free.
        empty_at: when the last refused call was sent; the bucket was empty then. `at_empty` is
            `passed` at that moment.
        cuts: number of times the rate was cut.
        cut_at: refusals of calls sent until then belong to the last cut.
        again: whether the rate is being raised for the second time, to improve the estimate.
        doubts: refusals that came so soon after an estimate that it may be wrong.
        since: when the current phase began; `grown_at`: when the rate was last raised.
        estimate: the bucket's rate, once known; `patience`: seconds to hold before creeping.
        frequent: consecutive cuts that each came only a few calls after the last; `frequent_rate`
            is the rate before them, `trial_rate` the rate at which the trial began.
        chance: the share of calls that is refused at random, as found by the trial.
        stage_passed, stage_refused: `passed` when the present stage of a trial began (at `since`),
            and how many calls sent since then were refused.
        marks: [time, passed] of the last seconds.
        seen: process -> when it last asked for permission.
    """

    rate: float = FIRST_RATE
    phase: str = "ramp"
    passed: float = 0.0
    next_at: float = 0.0
    empty_at: float | None = None
    at_empty: float = 0.0
    cuts: int = 0
    cut_at: float = 0.0
    since: float = 0.0
    grown_at: float = 0.0
    doubts: int = 0
    again: bool = False
    patience: float = HOLD_S
    estimate: float | None = None
    frequent: int = 0
    frequent_rate: float = 0.0
    trial_rate: float = 0.0
    chance: float | None = None
    stage_passed: float = 0.0
    stage_refused: int = 0
    marks: list[list[float]] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, text: str | None) -> Self:
        """Return the limit that `dump` wrote; a fresh one for None."""
        return cls() if text is None else cls(**json.loads(text))

    def dump(self) -> str:
        """Return everything as JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def ask(
        self,
        now: float,
        owner: str,
        unused: int,
        refusals: Iterable[float],
        most: int,
        ceiling: float = math.inf,
    ) -> Grant:
        """Note what a process did and give it permission for its next calls.

        Args:
            now: the shared clock.
            owner: the process.
            unused: calls that it was allowed to send but did not.
            refusals: send times of the calls that were refused since it last asked.
            most: how many calls it could send soon; it is allowed no more.
            ceiling: calls per second that the user allows.
        """
        self._follow_clock(now)
        if not self.marks:
            self.marks.append([now, self.passed])
            self.since = self.grown_at = now
        self._take_back(now, unused)
        for sent_at in sorted(refusals):
            self._refused(now, sent_at)
        self.seen[owner] = now
        self.seen = {name: at for name, at in self.seen.items() if now - at < _ALIVE_S}
        self._grow(now)
        self.rate = min(self.rate, ceiling)
        start = max(now, self.next_at)
        if start - now >= HORIZON_S:
            return self._grant(start, 0)
        count = max(1, min(most, round(self.rate * HORIZON_S / len(self.seen))))
        grant = self._grant(start, count)
        self._pass(grant)
        return grant

    def _follow_clock(self, now: float) -> None:
        """Move all moments back with a clock that was set back since a process last asked.

        Otherwise the next slot would be free only when the clock is there again.
        """
        back = max(self.seen.values(), default=now) - now
        if back < SET_BACK_S:
            return
        self.next_at -= back
        self.cut_at -= back
        self.since -= back
        self.grown_at -= back
        self.empty_at = None if self.empty_at is None else self.empty_at - back
        self.marks = [[at - back, passed] for at, passed in self.marks]
        self.seen = {name: at - back for name, at in self.seen.items()}

    def _grant(self, start: float, count: int) -> Grant:
        chance = self.chance if self.phase == "free" else None
        return Grant(start, count, self.rate, self.cuts, chance)

    def _pass(self, grant: Grant) -> None:
        """Assume that a grant will be used, evenly and on time."""
        self.next_at = grant.start + grant.count / grant.rate
        if self.marks[-1][0] < grant.start:
            self.marks.append([grant.start, self.passed])
        self.passed += grant.count
        self.marks.append([max(self.next_at, self.marks[-1][0]), self.passed])
        while len(self.marks) > 2 and (
            self.marks[1][0] < grant.start - _HISTORY_S or len(self.marks) > _MOST_MARKS
        ):
            self.marks.pop(0)
        if self.phase == "ramp":
            self.rate += grant.count * RAMP_PER_SEND / len(self.seen)

    def _take_back(self, now: float, unused: int) -> None:
        self.passed -= unused
        for mark in self.marks:
            if mark[0] > now:
                mark[1] = max(mark[1] - unused, 0.0)

    def _passed_until(self, moment: float) -> float:
        """Return `passed` at `moment`, interpolated between two marks."""
        before = self.marks[0]
        for mark in self.marks:
            if mark[0] >= moment:
                span = mark[0] - before[0]
                share = (moment - before[0]) / span if span > 0 else 1.0
                return before[1] + max(share, 0.0) * (mark[1] - before[1])
            before = mark
        return before[1]

    def _refused(self, now: float, sent_at: float) -> None:
        self.passed -= 1
        for mark in self.marks:
            if mark[0] >= sent_at:
                mark[1] -= 1
        if self.phase in ("trial", "free"):
            self.stage_refused += sent_at > self.since
        elif sent_at > self.cut_at:
            self._cut(now, sent_at)
        if self.empty_at is None or sent_at > self.empty_at:
            self.empty_at = sent_at
            self.at_empty = self._passed_until(sent_at)

    def _cut(self, now: float, sent_at: float) -> None:
        """Lower the rate after the first refusal of a call that was sent at the current rate."""
        start = self.marks[0][0] if self.empty_at is None else self.empty_at
        passed = self._passed_until(sent_at) - self.at_empty
        lasted = max(sent_at - start, 1e-6)
        self._suspect(passed)
        if self.empty_at is None:
            self.rate /= 8
            self.phase = "climb"
        elif passed >= SURE_CALLS and lasted >= SURE_S:
            self._hold(passed, lasted)
        elif self.phase == "hold" and self.doubts < MOST_DOUBTS:
            # This soon after an estimate, it may be jitter around an empty bucket.
            self.doubts += 1
            self.rate *= 0.97
        else:
            self.rate /= 2
            self.phase = "climb"
        self.rate = max(self.rate, LEAST_RATE)
        self.cuts += 1
        self.since = self.grown_at = now
        if self.frequent >= TRIAL_AFTER:
            self.trial_rate = min(TRIAL_FACTOR * self.rate, self.frequent_rate)
            self.phase, self.chance = "trial", None
            self._begin_stage(now, self.trial_rate)
        # A bucket that has just been emptied gets a few calls' worth of rest.
        self.next_at = now + min(REST_CALLS / self.rate, REST_S)
        # Other processes are still using what they were granted.
        self.cut_at = now + (HORIZON_S if len(self.seen) > 1 else 0.0)

    def _hold(self, passed: float, lasted: float) -> None:
        """Make a new estimate from two refusals that are far enough apart."""
        was, refused_at = self.phase, self.rate
        self.estimate = min(passed / lasted, self.rate)
        # A single refusal among hundreds, near the estimate, is jitter: no reason to cut far.
        rare = was == "hold" and passed >= RARE_CALLS and self.rate < 1.02 * self.estimate
        self.rate = 0.995 * self.rate if rare else KEPT * self.estimate
        # An estimate from a quick climb may be too low: a full bucket hides its refill rate.
        self.patience = HOLD_S if was == "hold" else HASTY_S
        self.phase = "hold"
        self.doubts = 0
        self.again = refused_at > HASTE * self.estimate and not self.again
        if self.again:
            # The rate rose while the bucket was full, so the estimate is unreliable: climb again.
            self.rate, self.phase, self.estimate = 0.9 * self.estimate, "climb", None

    def _suspect(self, passed: float) -> None:
        """Note how many calls passed between this cut and the last."""
        if self.empty_at is None or passed >= SURE_CALLS:
            self.frequent = 0
            return
        if self.frequent == 0:
            self.frequent_rate = self.rate
        self.frequent += 1

    def _begin_stage(self, now: float, rate: float) -> None:
        self.rate, self.since = rate, now
        self.stage_passed, self.stage_refused = self.passed, 0

    def _judge(self, now: float) -> None:
        """Judge what the current stage of a trial, or of the `free` phase, has shown."""
        lasted = now - self.since
        sent = self.passed - self.stage_passed + self.stage_refused
        share = self.stage_refused / max(sent, 1.0)
        plain = self.chance is None and sent >= PLAIN_CALLS and share > PLAIN_SHARE
        if not plain and (lasted < TRIAL_S or sent < TRIAL_CALLS):
            return
        if self.chance is None and 0 < share <= TRIAL_MOST_SHARE:
            self.chance = share
        if self.chance is None or share < self.chance / 4:
            # Too many to be random, or none (any more).
            self._end_trial(now, self.rate / 2 if share else self.rate)
        elif share > self.chance + (1 - self.chance) / 3:
            if self.phase == "trial":
                self._end_trial(now, self.trial_rate / 2)
            else:
                self._begin_stage(now, self.rate / 2)
        else:
            if self.rate >= FREE_ABOVE * self.trial_rate:
                self.phase = "free"
            self.chance = 0.5 * (self.chance + share)
            used = sent / lasted > 0.5 * self.rate
            self._begin_stage(now, min(self.rate * (2 if used else 1), MOST_RATE))

    def _end_trial(self, now: float, rate: float) -> None:
        self.rate = max(rate, LEAST_RATE)
        # It takes far more to start the next trial.
        self.frequent = -TRIAL_PAUSE
        self.phase, self.chance, self.estimate = "climb", None, None
        self.since = self.grown_at = self.cut_at = now

    def _grow(self, now: float) -> None:
        if self.phase in ("trial", "free"):
            self._judge(now)
            return
        span = min(now - self.grown_at, 0.5)
        if self.phase == "climb":
            self.rate *= 1 + CLIMB_PER_S * (0.6 if self.again else 1.0) * span
            if self.estimate is not None and self.rate > KEPT * self.estimate:
                self.rate, self.phase, self.since = KEPT * self.estimate, "hold", now
        elif (
            self.phase == "hold"
            and now - self.since > self.patience
            and self._used(now) > 0.8 * self.rate
        ):
            crept = now - self.since - self.patience
            self.rate *= 1 + CREEP_PER_S * 2 ** min(crept / CREEP_DOUBLES_S, 4) * span
        self.rate = min(self.rate, MOST_RATE)
        self.grown_at = now

    def _used(self, now: float) -> float:
        """Return the calls per second that passed in the last second."""
        return self.passed - self._passed_until(now - 1.0)
