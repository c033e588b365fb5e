"""The benchmarks' promises at small size, in processes of their own."""

from pathlib import Path

from bench import llm_budget, llm_kill, llm_limits, llm_runner, llm_stream
from bench.llm_server import serving, stats


async def test_a_killed_run_goes_on_and_pays_little_twice() -> None:
    found = llm_kill.run(kills=1, calls=300)
    assert found["incomplete_runs"] == 0
    # Thirty-odd calls may be unread or unsaved where the machine is busy with other things.
    assert found["most_paid_twice"] <= 60


def test_headers_are_heeded_from_the_start() -> None:
    figures = llm_limits.measure(llm_limits.CASES["x-ratelimit headers"], 1, 2.5)
    assert figures["refused_share"] == 0
    assert figures["per_s"] > 50


async def test_nothing_changed_no_call_one_more_one_call(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/s.db"
    with serving(delay=0.001) as url:
        await llm_runner.main(url, store, 0, 100)
        await llm_runner.main(url, store, 0, 100)
        assert stats(url)["answered"] == 100
        await llm_runner.main(url, store, 0, 101)
        assert stats(url)["answered"] == 101


def test_eight_processes_never_spend_more_than_their_one_budget() -> None:
    found = llm_budget.run(processes=8, calls=15, affordable=40)
    assert found["failed_processes"] == 0
    # An upper bound must fit before a call is made, so a few calls' money may be left.
    assert 25 < found["answered"] <= 40


def test_streaming_is_measured_with_whole_answers() -> None:
    found = llm_stream.run(calls=4)
    assert list(found) == ["20 tokens", "100 tokens", "400 tokens"]
    assert found["400 tokens"]["streamed"] > found["400 tokens"]["in one piece"] > 0
