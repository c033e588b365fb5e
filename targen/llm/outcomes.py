"""From an answer to what is stored of it, and from that to an outcome."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import targen
from targen.llm import structured
from targen.llm.reply import Answer
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings
from targen.llm.structured import Parsed
from targen.llm.types import Outcome
from targen.store.completions import pack
from targen.store.ledger import Record
from targen.store.schema import Status

_OPTIONAL = (
    "served_model",
    "fingerprint",
    "provider_id",
    "finish",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "mean_logprob",
    "latency",
)


def row_of(
    job: Job,
    status: Status,
    error: str | None,
    raw: str | None,
    endpoint: str,
    settings: EngineSettings,
    **answer: Any,
) -> dict[str, Any]:
    """Return the row that stores what became of `job`; `answer` fills the optional columns."""
    return {
        "request_id": job.request_id,
        "parent_request_id": job.parent_id,
        "status": status,
        "endpoint": endpoint,
        "model": job.request.model or settings.model_name,
        "identity": pack(job.identity),
        "raw": None if raw is None else pack(raw.encode("utf-8", "replace")),
        "error": error,
        "simulated": settings.embedded,
        "attempts": job.attempts,
        "mode": settings.mode,
        "run_id": settings.run_id,
        "project_version": targen.__version__,
        **dict.fromkeys(_OPTIONAL),
        **answer,
    }


def record_of(row: Mapping[str, Any], raw: str | None, parsed: Parsed | None) -> Record:
    """Return what a look-up would find of `row`."""
    return Record(
        row["status"],
        raw,
        row["error"],
        row["prompt_tokens"] or 0,
        row["completion_tokens"] or 0,
        row["cost_usd"],
        row["mean_logprob"],
        parsed,
    )


def status_of(answer: Answer, error: str | None) -> tuple[Status, str | None]:
    """Return what kind of answer this is, and what is wrong with it."""
    if answer.refusal:
        return "refused", answer.refusal[:500]
    if answer.finish == "content_filter":
        return "filtered", "the endpoint's content filter stopped the answer"
    if error is None:
        return "ok", None
    if answer.finish == "length":
        return "truncated", f"the answer was cut off at its greatest length ({error})"
    return "malformed", error


def outcome_of(job: Job, record: Record, from_store: bool) -> Outcome:
    """Return what `job` comes to, with the cost of the asks before it."""
    value: Mapping[str, Any] | None = None
    if record.status in ("ok", "malformed", "truncated") and record.raw:
        value = (record.parsed or structured.parse(record.raw, job.root.schema)).value
    made = Outcome(
        request=job.root,
        request_id=job.request_id,
        status=record.status,
        value=None if value is None else dict(value),
        raw=record.raw,
        error=record.error,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        cost_usd=record.cost_usd,
        from_store=from_store,
        mean_logprob=record.mean_logprob,
    )
    if job.before is None:
        return made
    known = made.cost_usd is not None and job.before.cost_usd is not None
    return replace(
        made,
        prompt_tokens=made.prompt_tokens + job.before.prompt_tokens,
        completion_tokens=made.completion_tokens + job.before.completion_tokens,
        cost_usd=(made.cost_usd or 0) + (job.before.cost_usd or 0) if known else None,
        from_store=from_store and job.before.from_store,
    )
