"""Calls that a killed run pays for twice: SIGKILL at random moments, then the run again.

The server records which questions it answered completely; an answer given twice was lost by a kill.
Right after the kill, the store is asked what it had acknowledged.
"""

import tempfile
import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from bench.llm_runner import start
from bench.llm_server import serving, stats
from targen.hashing import rng


def run(kills: int = 20, calls: int = 2000, store: str | None = None) -> dict[str, Any]:
    """Kill `kills` runs of `calls` calls at different moments, and finish each run.

    Args:
        kills: number of kills.
        calls: calls per run.
        store: store URL; None creates a SQLite file.
    """
    lost, later, again, incomplete = [], [], [], 0
    for number in range(kills):
        with tempfile.TemporaryDirectory() as folder, serving(delay=0.05, marks=True) as url:
            url_of_store = store or f"sqlite:///{folder}/s.db"
            options = {
                "url": url,
                "store": url_of_store,
                "first": number * 1_000_000,
                "count": calls,
            }
            process = start(**options)
            while stats(url)["answered"] == 0:
                time.sleep(0.02)
            # A run of 2,000 calls takes one to three seconds after its first answer.
            time.sleep(rng("kill", number).uniform(0.0, calls / 1500))
            killed_at = time.monotonic()
            process.kill()
            process.join()
            time.sleep(0.1)
            seen = stats(url)
            before = Counter(seen["marks"])
            # Its sockets close when the process has ended. Until then, answers of the server are
            # lost.
            void = {
                m for m, at in zip(seen["marks"], seen["marked_at"], strict=True) if at > killed_at
            }
            kept = acknowledged(url_of_store, f"bench-{number * 1_000_000}")
            second = start(**options)
            second.join()
            after = Counter(stats(url)["marks"])
            twice = {mark for mark, count in after.items() if count > 1}
            lost.append(len(twice & set(before) - void))
            later.append(len(twice & void))
            again.append(sum(after.values()) - calls)
            incomplete += len(after) != calls
            assert before.total() - kept == lost[-1] + later[-1], (before.total(), kept, lost[-1])
    return {
        "kills": kills,
        "calls": calls,
        "paid_twice_per_kill": lost,
        "most_paid_twice": max(lost),
        "answered_after_the_kill": later,
        "more_calls_than_needed": again,
        "incomplete_runs": incomplete,
    }


def acknowledged(store: str, run_id: str) -> int:
    """Return how many completions of a run the store holds."""
    engine = sa.create_engine(store)
    with engine.connect() as connection:
        found = sa.text("SELECT count(*) FROM completions WHERE run_id = :run")
        count = int(connection.execute(found, {"run": run_id}).scalar_one())
    engine.dispose()
    return count
