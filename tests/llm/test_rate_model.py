"""The estimate of a limit against simulated endpoints, in virtual time."""

import heapq
import itertools
from collections.abc import Callable

import pytest

from targen.hashing import rng
from targen.llm.rate_model import Grant, Limit

Take = Callable[[float], bool]


def bucket(rates: list[tuple[float, float]], burst: float) -> Take:
    """A token bucket whose rate changes at given moments."""
    state = [burst, 0.0]

    def take(moment: float) -> bool:
        rate = [rate for start, rate in rates if start <= moment][-1]
        state[0] = min(burst, state[0] + (moment - state[1]) * rate)
        state[1] = moment
        if state[0] < 1:
            return False
        state[0] -= 1
        return True

    return take


def window(most: int) -> Take:
    """A hard limit for every second."""
    state = [-1, 0]

    def take(moment: float) -> bool:
        if int(moment) != state[0]:
            state[:] = [int(moment), 0]
        state[1] += 1
        return state[1] <= most

    return take


def chance(share: float, below: Take = lambda moment: True) -> Take:
    """Refuses a share of the calls at random, whatever their rate; and what `below` refuses."""
    random = rng("chance", share)
    return lambda moment: below(moment) and random.random() >= share


class World:
    """Processes that share one `Limit`, each 50 ms away from the endpoint, 100 calls at most."""

    def __init__(self, take: Take, processes: int, late: float = 0.05) -> None:
        self.take, self.late = take, late
        self.limit = Limit()
        self.answered: list[float] = []
        self.refused: list[float] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._random = rng("world", processes, late)
        for name in range(processes):
            self._at(0.003 * name, Process(self, f"p{name}").ask)

    def run(self, seconds: float) -> None:
        while self._events and self._events[0][0] < seconds:
            moment, _, event = heapq.heappop(self._events)
            event(moment)

    def _at(self, moment: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), event))

    def send(self, moment: float, refused: Callable[[float], None]) -> None:
        def arrive(now: float) -> None:
            if self.take(now):
                self.answered.append(now)
            else:
                self.refused.append(now)
                self._at(now + self.late, refused)

        self._at(moment + 0.005 * (1 + self._random.random()), arrive)

    def later(self, moment: float, event: Callable[[float], None]) -> None:
        self._at(moment, event)


class Process:
    """Sends at every slot it is granted, and asks for more every 40 ms."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.slots: list[float] = []
        self.refusals: list[float] = []
        self.unused = self.cuts = 0

    def ask(self, now: float) -> None:
        refusals, self.refusals = self.refusals, []
        unused, self.unused = self.unused, 0
        grant = self.world.limit.ask(now, self.name, unused, refusals, most=1_000_000)
        self._granted(grant)
        self.send(now)
        self.world.later(now + 0.02, self.send)
        self.world.later(now + 0.04, self.ask)

    def _granted(self, grant: Grant) -> None:
        if grant.cuts != self.cuts:
            self.unused, self.slots, self.cuts = len(self.slots), [], grant.cuts
        self.slots += [grant.start + n / grant.rate for n in range(grant.count)]

    def send(self, now: float) -> None:
        while self.slots and self.slots[0] <= now + 0.02:
            slot = max(now, self.slots.pop(0))
            self.world.send(slot, lambda moment, slot=slot: self.refusals.append(slot))


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize(
    ("take", "late", "least", "most_refused"),
    [
        (lambda: bucket([(0, 100)], 100), 0.05, 97, 0.02),
        (lambda: bucket([(0, 100)], 20), 0.05, 90, 0.02),
        (lambda: window(100), 0.05, 60, 0.1),
        (lambda: bucket([(0, 100)], 20), 0.25, 60, 0.1),
        (lambda: bucket([(0, 8)], 8), 0.05, 4.8, 0.1),
    ],
)
def test_an_unknown_limit_is_used_and_not_overrun(
    processes: int, take: Callable[[], Take], late: float, least: float, most_refused: float
) -> None:
    world = World(take(), processes, late)
    world.run(60.0)
    assert len(world.answered) / 60 >= least
    share = len(world.refused) / (len(world.refused) + len(world.answered))
    assert share <= most_refused


def test_a_limit_that_changes_is_followed() -> None:
    world = World(bucket([(0, 100), (40, 30), (80, 100)], 100), 1)
    world.run(120.0)

    def per_s(start: float, end: float) -> float:
        return sum(start <= at < end for at in world.answered) / (end - start)

    def refused(start: float, end: float) -> int:
        return sum(start <= at < end for at in world.refused)

    assert per_s(30, 40) > 90
    assert refused(50, 60) <= 15
    assert 24 < per_s(50, 60) < 34
    assert per_s(110, 120) > 80


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_refusals_by_chance_do_not_slow_the_run_down(share: float, processes: int) -> None:
    world = World(chance(share), processes)
    seconds = 0.0
    while not (world.limit.phase == "free" and world.limit.rate > 200) and seconds < 25:
        seconds += 0.5
        world.run(seconds)
    assert world.limit.phase == "free"
    assert world.limit.chance == pytest.approx(share, abs=0.15)


def test_a_limit_is_found_beside_refusals_by_chance() -> None:
    world = World(chance(0.3, bucket([(0, 100)], 100)), 1)
    world.run(60.0)
    late = [at for at in world.answered if at > 30]
    assert len(late) / 30 > 30
    assert sum(at > 30 for at in world.refused) < 2 * len(late)


@pytest.mark.parametrize("back", [3.0, 3600.0])
@pytest.mark.parametrize("refused", [False, True])
def test_a_clock_that_is_set_back_stops_nothing(back: float, refused: bool) -> None:
    """The moments are those of a shared clock, which a time server or a person can set."""
    limit, now = Limit(), 1e9
    for turn in range(40):
        refusals = [now - 0.05] if refused and turn == 20 else []
        now = limit.ask(now, "p", 0, refusals, most=4).start + 0.02
    rate = limit.rate
    moment = now - back
    grants = [limit.ask(moment + at / 50, "p", 0, [], most=4) for at in range(50)]
    assert sum(grant.count for grant in grants) > 20
    assert all(grant.start < moment + 2 for grant in grants)
    assert rate <= limit.rate < 20 * rate


def test_the_state_survives_its_way_through_the_store() -> None:
    limit = Limit()
    limit.ask(1.0, "p", 0, [], most=1_000_000)
    assert Limit.load(limit.dump()) == limit
