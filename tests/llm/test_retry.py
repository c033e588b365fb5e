"""When an endpoint is given up, what is said then, and how long a call may take."""

import math

import pytest

from targen.errors import EndpointError
from targen.llm.engine import EngineSettings
from targen.llm.outage import ALONE_S, Outage
from targen.llm.reply import Reply
from targen.llm.settings import timeout_of
from tests.support.endpoint import request

ADDRESS = "https://api.example.org/v1"
LOADING = Reply("transient", words="Loading model", code=503)
REFUSED = Reply("transient", words=f"cannot reach {ADDRESS}")


def fail(outage: Outage, now: float, reply: Reply, request_id: str = "a", **more: object) -> bool:
    return outage.failed(request_id, now - 0.1, now, reply, timed_out=bool(more.get("timed_out")))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("transient", words="boom.", code=500), f"{ADDRESS} answered 500: boom"),
        (Reply("transient", words="one\nline", code=503), f"{ADDRESS} answered 503: one line"),
        (Reply("transient", words="HTTP 502", code=502), f"{ADDRESS} answered 502"),
        (Reply("transient", words="an empty reply", code=200), f"{ADDRESS} answered 200: an empty"),
        (REFUSED, f"cannot reach {ADDRESS}"),
    ],
)
def test_an_endpoint_that_is_given_up_is_named_with_what_it_answered(
    reply: Reply, words: str
) -> None:
    outage = Outage(ADDRESS, patience_s=10)
    with pytest.raises(EndpointError) as caught:
        for second in range(1, 30):
            fail(outage, float(second), reply)
    assert words in str(caught.value) and "calls failed in a row" in str(caught.value)
    assert str(caught.value).count(ADDRESS) == 1


def test_an_endpoint_that_only_throttles_is_named() -> None:
    outage, reply = Outage(ADDRESS, 300), Reply("throttled", words="slow down", code=429)
    outage.throttled(1.0, reply)
    with pytest.raises(
        EndpointError, match="refused every call because of its rate limit for 399 s: slow down"
    ):
        outage.throttled(400.0, reply)


def test_a_server_that_refuses_connections_from_the_start_is_given_up_within_seconds() -> None:
    outage = Outage(ADDRESS, patience_s=300)
    with pytest.raises(EndpointError):
        for tenth in range(40):
            fail(outage, 1 + tenth / 10, REFUSED)


@pytest.mark.parametrize("reply", [LOADING, Reply("transient", words="no gateway", code=502)])
def test_a_server_that_starts_is_waited_for_from_the_start(reply: Reply) -> None:
    outage = Outage(ADDRESS, patience_s=300)
    assert not any(fail(outage, float(second), reply, str(second)) for second in range(1, 290))
    outage.good(290.0)
    assert not outage.down


@pytest.mark.parametrize("reply", [LOADING, REFUSED, Reply("transient", words="x", code=500)])
def test_no_request_is_blamed_while_nothing_is_answered(reply: Reply) -> None:
    outage = Outage(ADDRESS, patience_s=300)
    outage.good(0.0)
    assert not any(fail(outage, float(second), reply, str(second)) for second in range(1, 290))
    assert outage.down


def test_a_request_that_fails_while_others_are_answered_is_blamed() -> None:
    outage = Outage(ADDRESS, 300)
    outage.good(10.0)
    reply = Reply("transient", words="x", code=500)
    assert outage.failed("a", 9.0, 11.0, reply, timed_out=False)


def test_the_last_request_of_a_run_is_blamed_in_the_end() -> None:
    outage, reply = Outage(ADDRESS, 600), Reply("transient", words="gateway", code=504)
    outage.good(0.0)
    assert not fail(outage, 1.0, reply)
    assert fail(outage, ALONE_S + 2, reply)
    # Nothing listens: that is no fault of a request.
    outage.good(200.0)
    fail(outage, 201.0, REFUSED)
    assert not fail(outage, 500.0, REFUSED)


def test_probes_are_sent_at_growing_intervals() -> None:
    outage = Outage(ADDRESS, 300)
    outage.good(0.0)
    now, waits = 1.0, []
    for _ in range(4):
        fail(outage, now, LOADING)
    for _ in range(8):
        wait = outage.wait(now)
        waits.append(wait)
        now += wait
        outage.sent(now)
        fail(outage, now, LOADING)
    assert waits == sorted(waits) and waits[0] < 1 and waits[-1] == 10.0
    outage.good(now)
    assert outage.wait(now) == 0


def test_a_time_out_says_nothing_about_an_endpoint_that_takes_calls() -> None:
    outage, reply = Outage(ADDRESS, patience_s=300), Reply("transient", words="no answer in time")
    outage.good(0.0)
    for number in range(30):
        assert not outage.failed(str(number), 1.0, 121.0, reply, timed_out=True)
    assert not outage.down
    # Twice as long, in vain.
    with pytest.raises(EndpointError, match="TARGEN_TIMEOUT_S"):
        outage.failed("1", 122.0, 362.0, reply, timed_out=True)


def test_a_call_may_take_as_long_as_its_answer_and_twice_as_long_after_a_time_out() -> None:
    asked = request(0)
    assert timeout_of(asked, EngineSettings()) == 120
    assert timeout_of(asked, EngineSettings(timeout_s=8)) == 8
    assert timeout_of(asked, EngineSettings(timeout_s=8), timeouts=2) == 32
    assert math.isclose(timeout_of(asked, EngineSettings(), timeouts=9), 1800)
