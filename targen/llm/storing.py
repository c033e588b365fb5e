"""From an answer to a stored row, and from that to the outcomes of all who wait for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import targen
from targen.llm.budget import Budget
from targen.llm.interpret import follow_up, interpret, outcome_of, reading_of, record_of
from targen.llm.progress import Stats
from targen.llm.reply import Answer
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings
from targen.store.completions import pack
from targen.store.ledger import Record
from targen.store.schema import Status
from targen.store.writer import Writer

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


UNSAVED_MOST = 8
"""Answers that may be on their way to the store before more is paid for: a kill loses them."""


class Storing:
    """The answers of one engine on their way through the store to the runs."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        writer: Writer,
        budget: Budget,
        stats: Stats,
        closed: Callable[[Job], None],
        ask: Callable[[Job], None],
        relieved: Callable[[], None],
        stop: Callable[[BaseException], None],
    ) -> None:
        """Make it; must be called on a running event loop.

        Args:
            settings: of the engine.
            endpoint: the logical name.
            writer: of the engine.
            budget: of the engine.
            stats: of the engine.
            closed: called with each job that has its outcome.
            ask: called with each job that asks for an answer anew.
            relieved: called when there is room for unsaved answers again.
            stop: ends the engine because of an error.
        """
        self._settings, self._endpoint = settings, endpoint
        self._writer, self._budget, self._stats = writer, budget, stats
        self._closed, self._ask, self._relieved, self._stop = closed, ask, relieved, stop
        self._loop = asyncio.get_running_loop()
        self._unsaved = 0
        self.done = 0

    @property
    def full(self) -> bool:
        """True while so many answers are unsaved that nothing more should be sent."""
        return self._unsaved >= UNSAVED_MOST

    def answered(self, job: Job, answer: Answer, latency: float, batch: bool = False) -> None:
        """Store an answer that took `latency` seconds, then return it to its run."""
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        cost = self._budget.cost(job.request, prompt, completion, batch)
        self._stats.paid(prompt, completion, cost, latency)
        reading = interpret(answer, job.request)
        self._write(
            job,
            reading.status,
            reading.error,
            parsed=reading.parsed,
            raw=answer.refusal if answer.refusal and not answer.text else answer.text,
            served_model=answer.model,
            fingerprint=answer.fingerprint,
            provider_id=answer.provider_id,
            finish=answer.finish[:32],
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=cost,
            mean_logprob=answer.logprob,
            latency=latency,
            mode="batch" if batch else "live",
        )

    def failed(self, job: Job, status: Status, words: str) -> None:
        """Store a failure with its reason, then return it to its run."""
        if status == "failed":
            self._stats.failed += 1
        self._write(job, status, words, cost_usd=0.0)

    def _write(self, job: Job, status: Status, error: str | None, **answer: Any) -> None:
        raw, parsed = answer.pop("raw", None), answer.pop("parsed", None)
        row = row_of(job, status, error, raw, self._endpoint, self._settings, **answer)
        record = record_of(row, raw, parsed)
        self._unsaved += 1

        def stored(result: Any) -> None:
            self._unsaved -= 1
            if self._unsaved == UNSAVED_MOST - 1:
                self._loop.call_soon(self._relieved)
            if isinstance(result, BaseException):
                self._stop(result)
            else:
                self._conclude(job, record, from_store=False)
                self._budget.settled(row)

        cost = row["cost_usd"]
        # What the endpoint did not count is taken to have cost the most it could.
        row["charge_usd"] = job.reserved if cost is None else cost
        # In one transaction with the charge, or there would be room for a moment that is not there.
        row["back_usd"], job.reserved = job.reserved, 0.0
        self._writer.put(row, stored)

    def known(self, job: Job, record: Record) -> None:
        """Hand on what the store knows already."""
        self._conclude(job, record, from_store=True)

    def _conclude(self, job: Job, record: Record, from_store: bool) -> None:
        """Hand a stored completion on, or ask again where nothing of it can be used."""
        self._closed(job)
        outcome = outcome_of(job, record, from_store)
        reading = reading_of(outcome)
        for duplicate in (job, *job.duplicates):
            mine = outcome if duplicate is job else outcome_of(duplicate, record, from_store=True)
            if mine.from_store and duplicate.asks == 0:
                self._stats.from_store += 1
            again = follow_up(duplicate.request, reading, record.raw or "", duplicate.asks)
            if again is not None and not duplicate.run.closed:
                self._ask(
                    Job(
                        duplicate.run,
                        duplicate.root,
                        again,
                        duplicate.request_id,
                        duplicate.asks + 1,
                        mine,
                    )
                )
            else:
                self.done += 1
                duplicate.run.hand_on(mine)
