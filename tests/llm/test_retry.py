"""When an endpoint is given up, and what is then said."""

import pytest

from targen.llm.reply import Reply
from targen.llm.retry import Health

ADDRESS = "https://api.example.org/v1"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply("transient", words="boom.", code=500), f"{ADDRESS} answered 500: boom"),
        (Reply("transient", words="one\nline", code=503), f"{ADDRESS} answered 503: one line"),
        (Reply("transient", words="HTTP 502", code=502), f"{ADDRESS} answered 502"),
        (Reply("transient", words="an empty reply", code=200), f"{ADDRESS} answered 200: an empty"),
        (Reply("transient", words=f"cannot reach {ADDRESS}"), f"cannot reach {ADDRESS}"),
    ],
)
def test_an_endpoint_that_is_given_up_is_named_with_what_it_answered(
    reply: Reply, told: str
) -> None:
    health = Health()
    said = [health.bad(float(second), reply, 0, ADDRESS) for second in range(1, 13)]
    assert said[0] is None and said[-1] is not None
    assert said[-1].startswith(told) and said[-1].endswith("; 12 calls failed in a row")
    assert said[-1].count(ADDRESS) == 1


def test_an_endpoint_that_only_throttles_is_named() -> None:
    health, reply = Health(), Reply("throttled", words="slow down", code=429)
    assert health.bad(1.0, reply, 0, ADDRESS) is None
    said = health.bad(400.0, reply, 0, ADDRESS)
    assert said == f"{ADDRESS} refuses every call for its rate since 300 s"
