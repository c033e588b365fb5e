"""Whether processes with a shared budget ever exceed it, by the server's own count."""

import asyncio
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

from bench import llm_runner
from bench.llm_server import serving, stats

PRICES = "date: 2026-01-01\nmodels:\n- {model: m, prompt: 1000, completion: 2000}\n"
CALL_USD = (100 * 1000 + 20 * 2000) / 1e6
"""Price of one answer of the server."""


def run(processes: int = 8, calls: int = 100, affordable: int = 300) -> dict[str, Any]:
    """Measure over SQLite and, if TARGEN_TEST_POSTGRES names an empty database, over PostgreSQL."""
    figures = measure(processes, calls, affordable, None)
    if postgres := os.environ.get("TARGEN_TEST_POSTGRES"):
        figures["postgres"] = measure(processes, calls, affordable, postgres)
    return figures


def measure(processes: int, calls: int, affordable: int, store: str | None) -> dict[str, Any]:
    """Let every process send `calls` requests of its own, with a budget for `affordable` in total.

    Args:
        processes: number of concurrent processes.
        calls: requests per process.
        affordable: number of answers that the budget covers.
        store: URL of the shared store; None creates a SQLite file.
    """
    # Forked from a process that has loaded everything, so that they start together.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.llm_runner"])
    with tempfile.TemporaryDirectory() as folder, serving(delay=0.02) as url:
        Path(folder, "prices.yaml").write_text(PRICES)
        running = [
            context.Process(
                target=_spend, args=(folder, url, n, calls, affordable * CALL_USD, store)
            )
            for n in range(processes)
        ]
        for process in running:
            process.start()
        for process in running:
            process.join()
        answered = stats(url)["answered"]
    return {
        "processes": processes,
        "asked": processes * calls,
        "affordable": affordable,
        "answered": answered,
        "spent_of_budget": round(answered / affordable, 4),
        "failed_processes": sum(process.exitcode != 0 for process in running),
    }


def _spend(folder: str, url: str, n: int, calls: int, budget: float, store: str | None) -> None:
    os.environ["TARGEN_PRICES"] = f"{folder}/prices.yaml"
    store = store or f"sqlite:///{folder}/s.db"
    asyncio.run(llm_runner.main(url, store, n * calls, calls, concurrency=8, budget=budget))
