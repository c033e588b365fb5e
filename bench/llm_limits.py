"""Share of an unknown rate limit that the engine uses, and share of its calls that are refused."""

import tempfile
import time
from typing import Any

from bench.llm_runner import start
from bench.llm_server import serving, stats

CASES: dict[str, dict[str, Any]] = {
    "bucket, burst 100": {"limit": "bucket", "burst": 100},
    "bucket, burst 20": {"limit": "bucket", "burst": 20},
    "hard windows": {"limit": "window"},
    "refusals 200 ms late": {"limit": "bucket", "burst": 20, "late": 0.2},
    "8 calls/s": {"limit": "bucket", "burst": 8, "rates": [[0, 8]]},
    "x-ratelimit headers": {"limit": "bucket", "burst": 100, "headers": True},
}
SMALL_RUN = 300
"""Calls of a run against an endpoint that refuses at random."""

CHANGING = [[0, 100], [40, 30], [80, 100]]


def measure(behavior: dict[str, Any], processes: int, seconds: float) -> dict[str, Any]:
    """Return calls per second, the share of refused calls and the server's own times."""
    with tempfile.TemporaryDirectory() as folder, serving(**behavior) as url:
        running = [
            start(
                url=url,
                store=f"sqlite:///{folder}/s.db",
                first=n * 1_000_000,
                count=1_000_000,
                seconds=seconds,
            )
            for n in range(processes)
        ]
        for process in running:
            process.join()
        seen = stats(url)
    answered = [at for at in seen["answered_at"] if at <= seconds]
    refused = [at for at in seen["refused_at"] if at <= seconds]
    return {
        "per_s": len(answered) / seconds,
        "refused_share": len(refused) / max(1, len(answered) + len(refused)),
        "answered_at": answered,
        "refused_at": refused,
    }


def run(seconds: float = 60.0, cases: tuple[str, ...] = tuple(CASES)) -> dict[str, Any]:
    """Measure every case with one and with four processes, and a limit that changes midway."""
    found: dict[str, Any] = {}
    for name in cases:
        for processes in (1, 4):
            figures = measure(CASES[name], processes, seconds)
            found[f"{name}, {processes} process(es)"] = {
                "per_s": figures["per_s"],
                "refused_share": figures["refused_share"],
            }
    changing = {"limit": "bucket", "burst": 100, "rates": CHANGING}
    figures = measure(changing, 1, 120.0)
    found["100, then 30 at 40 s, then 100 at 80 s"] = {
        "per_s_by_10_s": [
            sum(start <= at < start + 10 for at in figures["answered_at"]) / 10
            for start in range(0, 120, 10)
        ],
        "refused_share": figures["refused_share"],
    }
    found["30% refused at random"] = small_run()
    return found


def small_run(share: float = 0.3) -> dict[str, Any]:
    """Measure a small run with random refusals and Retry-After: 1."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(limit="chance", share=share) as url,
    ):
        began = time.monotonic()
        process = start(url=url, store=f"sqlite:///{folder}/s.db", first=0, count=SMALL_RUN)
        process.join()
        return {"calls": SMALL_RUN, "seconds": time.monotonic() - began}
