"""The concurrency that is found for servers with a number of slots, on a simulated clock."""

import heapq

import pytest

from targen.hashing import rng
from targen.llm.concurrency import ConcurrencyController


def simulate(
    controller: ConcurrencyController, slots: int, latency: float, seconds: float
) -> tuple[list[tuple[float, float]], int]:
    """Serve calls first come, first served; return (time, window) of each answer and their number.

    Each answer takes 0.5 to 1.5 times `latency` in its slot, with tokens in proportion.
    """
    draw = rng("concurrency", slots, latency)
    now, free = 0.0, [0.0] * slots
    under_way: list[tuple[float, float, int, int]] = []
    seen: list[tuple[float, float]] = []
    while now < seconds:
        while len(under_way) < int(controller.window):
            share = draw.uniform(0.5, 1.5)
            start = max(now, heapq.heappop(free))
            heapq.heappush(free, start + latency * share)
            in_flight = len(under_way) + 1
            heapq.heappush(under_way, (start + latency * share, now, round(100 * share), in_flight))
        now, sent_at, tokens, in_flight = heapq.heappop(under_way)
        controller.answered(sent_at, now, tokens, in_flight)
        seen.append((now, controller.window))
    return seen, len(seen)


@pytest.mark.parametrize("latency", [2.0, 8.0])
def test_four_slots_get_at_most_ten_calls_after_a_minute(latency: float) -> None:
    seen, answered = simulate(ConcurrencyController(64), 4, latency, 600)
    assert max(window for at, window in seen if at > 60) <= 10
    assert answered >= 0.95 * 600 * 4 / latency


def test_many_slots_are_filled_within_a_few_latencies() -> None:
    seen, _ = simulate(ConcurrencyController(64), 1000, 3.0, 60)
    assert next(at for at, window in seen if window == 64) < 24


@pytest.mark.parametrize("slots", [1, 2, 16, 40])
def test_the_window_settles_near_the_slots(slots: int) -> None:
    seen, answered = simulate(ConcurrencyController(64), slots, 1.0, 300)
    late = [window for at, window in seen if at > 60]
    assert slots <= sorted(late)[len(late) // 2] <= max(6, 1.6 * slots)
    assert answered >= 0.9 * 300 * slots


def test_an_earlier_engine_s_window_shortens_the_start() -> None:
    controller = ConcurrencyController(64)
    controller.resume(64)
    assert controller.window == 32
    seen, _ = simulate(controller, 1000, 3.0, 30)
    assert next(at for at, window in seen if window == 64) < 10


def test_a_server_that_can_do_more_is_noticed() -> None:
    controller = ConcurrencyController(64)
    simulate(controller, 4, 1.0, 120)
    assert controller.window <= 10
    controller._held_since = 0.0
    seen, _ = simulate(controller, 100, 1.0, 400)
    assert max(window for _, window in seen) >= 40
