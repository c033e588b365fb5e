"""What an engine has done: the figures that assets show as metadata."""

from array import array
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Stats:
    """Counts of one engine.

    Attributes:
        calls: answers paid for now; `retried`: tries beyond the first; `from_store`: requests
            answered without a call; `failed`: requests that got no answer.
        prompt_tokens, completion_tokens: as far as they are known.
        uncounted: answers whose tokens the endpoint did not count.
        cost_usd: cost of the calls made now; None where a price is unknown.
        simulated: True where the embedded model answered and the price means nothing.
        seconds: from the opening of the engine to its closing.
    """

    model: str = ""
    simulated: bool = False
    requests: int = 0
    calls: int = 0
    from_store: int = 0
    retried: int = 0
    throttled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    latencies: "array[float]" = field(default_factory=lambda: array("f"), repr=False)

    def paid(
        self, prompt: int | None, completion: int | None, cost: float | None, latency: float
    ) -> None:
        """Count one answer; tokens as counted by the endpoint, cost in US dollars."""
        self.calls += 1
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0
        self.uncounted += prompt is None or completion is None
        known = self.cost_usd is not None and cost is not None
        self.cost_usd = (self.cost_usd or 0.0) + (cost or 0.0) if known else None
        self.latencies.append(latency)

    def percentile(self, share: float) -> float | None:
        """Return the latency in seconds below which `share` of the calls lie (nearest rank)."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-like metadata; tokens are None where not all are known."""
        return {
            "model": self.model,
            "simulated": self.simulated,
            "requests": self.requests,
            "calls": self.calls,
            "from_store": self.from_store,
            "retried": self.retried,
            "throttled": self.throttled,
            "failed": self.failed,
            "prompt_tokens": None if self.uncounted else self.prompt_tokens,
            "completion_tokens": None if self.uncounted else self.completion_tokens,
            "cost_usd": self.cost_usd,
            "seconds": round(self.seconds, 3),
            "latency_p50_s": self.percentile(0.50),
            "latency_p95_s": self.percentile(0.95),
            "latency_p99_s": self.percentile(0.99),
        }
