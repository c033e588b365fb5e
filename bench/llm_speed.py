"""Throughput, CPU and memory of the engine compared with the SDK alone, on the same server.

The SDK is AsyncOpenAI with its aiohttp client, a semaphore and gather. The two alternate in
separate processes, because peak memory is measured per process.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from bench.llm_server import serving

CONCURRENCY = 100
SCHEMA = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
PROMPT = "Write one short sentence about the number {n}. " + "It must be grammatical. " * 20


async def sdk(url: str, calls: int) -> None:
    """Make the calls with the SDK only."""
    from openai import AsyncOpenAI, DefaultAioHttpClient  # noqa: PLC0415 (only in this process)

    client = AsyncOpenAI(base_url=url, api_key="x", http_client=DefaultAioHttpClient())
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def one(n: int) -> str | None:
        async with semaphore:
            answer = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": PROMPT.format(n=n)}],
                max_tokens=200,
                seed=0,
                temperature=1.0,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
                },
            )
            return answer.choices[0].message.content

    await asyncio.gather(*(one(n) for n in range(calls)))
    await client.close()


async def engine(url: str, calls: int) -> None:
    """Make the calls with the engine and its store."""
    from targen.llm.engine import Engine, EngineSettings  # noqa: PLC0415
    from targen.llm.types import Request, Sampling  # noqa: PLC0415

    sampling = Sampling(max_output_tokens=200)

    def requests() -> Iterator[Request]:
        for n in range(calls):
            message = {"role": "user", "content": PROMPT.format(n=n)}
            yield Request((message,), SCHEMA, sampling=sampling)

    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(
            model="m",
            base_url=url,
            api_key="x",
            store_url=f"sqlite:///{folder}/s.db",
            concurrency=CONCURRENCY,
            run_id="bench",
        )
        async with Engine(settings) as llm:
            done = 0
            async for outcome in llm.run(requests()):
                assert outcome.status == "ok", outcome
                done += 1
            assert done == calls


def child(kind: str, url: str, calls: int) -> dict[str, float]:
    """Run one of the two in a process of its own."""
    done = subprocess.run(  # noqa: S603 (our own module)
        [sys.executable, "-m", "bench.llm_speed", kind, url, str(calls)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout))


def run(calls: int = 20_000, rounds: int = 3, many: int = 100_000) -> dict[str, Any]:
    """Measure calls per second, CPU milliseconds per call, and peak resident memory in MB.

    Args:
        calls: calls per run.
        rounds: number of alternating runs of each.
        many: calls of the memory measurement; 0 omits it.
    """
    found: dict[str, list[dict[str, float]]] = {"sdk": [], "engine": []}
    with serving(delay=0.05) as url:
        for _ in range(rounds):
            for kind, runs in found.items():
                runs.append(child(kind, url, calls))
        peak = child("engine", url, many)["peak_mb"] if many else None
    median = {
        kind: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for kind, runs in found.items()
    }
    return {
        "calls": calls,
        "rounds": rounds,
        **median,
        "throughput_ratio": median["engine"]["per_s"] / median["sdk"]["per_s"],
        "cpu_ratio": median["engine"]["cpu_ms"] / median["sdk"]["cpu_ms"],
        "many_calls": many,
        "many_peak_mb": peak,
    }


def _measure(kind: str, url: str, calls: int) -> dict[str, float]:
    work = sdk if kind == "sdk" else engine
    # Modules are loaded once per process, independent of the number of calls, so they do not count.
    asyncio.run(work(url, 5))
    started, cpu = time.perf_counter(), time.process_time()
    asyncio.run(work(url, calls))
    seconds = time.perf_counter() - started
    return {
        "per_s": calls / seconds,
        "cpu_ms": (time.process_time() - cpu) / calls * 1000,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
