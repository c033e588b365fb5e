"""The path of one request: claim, reserve, send, interpret, store.

`Pipeline.answer` is the whole path. Each request is one coroutine of it:

1. claim: the store returns the stored completion, or leases the request to this process and
   reserves in the budget the most that the call may cost;
2. reserve: the rate limiter says when the call may be sent;
3. send: the client posts it and reads the reply;
4. interpret: the reply is an answer, a reason to try again, or the end of the request;
5. store: the answer is committed, together with its cost, before the caller gets it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import targen
from targen.errors import BudgetError
from targen.llm import retry
from targen.llm.adaptation import Adapter
from targen.llm.batch import Batches
from targen.llm.client import Client
from targen.llm.interpret import follow_up, interpret, outcome_of, reading_of
from targen.llm.outage import MAX_ATTEMPTS, Outage
from targen.llm.prices import bound
from targen.llm.progress import Stats
from targen.llm.rate_limiter import RateLimiter, Slot
from targen.llm.reply import Answer, Reply
from targen.llm.runs import Call, Run
from targen.llm.settings import EngineSettings, timeout_of
from targen.llm.structured import Parsed
from targen.llm.types import Outcome, Request, identify
from targen.store.budgets import DOLLAR_DUST, BudgetLedger
from targen.store.claims import Claim, Claims
from targen.store.completions import pack
from targen.store.ledger import Record
from targen.store.schema import Status

LOGGER = logging.getLogger("targen")

_OPTIONAL = (
    "served_model",
    "fingerprint",
    "provider_id",
    "finish",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_usd",
    "mean_logprob",
    "latency",
)


class Pipeline:
    """Answers the requests of one engine, each by one coroutine of `answer`."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        claims: Claims,
        budget: BudgetLedger | None,
        limiter: RateLimiter,
        client: Client,
        adapter: Adapter,
        outage: Outage,
        batches: Batches,
        stats: Stats,
    ) -> None:
        """Make it. All arguments come from the engine; `endpoint` is its logical name."""
        self._settings, self._endpoint = settings, endpoint
        self._claims, self._budget, self._limiter = claims, budget, limiter
        self._client, self._adapter, self._outage = client, adapter, outage
        self._batches, self._stats = batches, stats
        self._open: dict[str, asyncio.Future[Record]] = {}
        self._warned = False
        self.done = 0

    async def answer(self, run: Run, request: Request) -> Outcome | None:
        """Return what became of a request; None if its run was closed in the meantime.

        A request whose answer contains nothing usable is followed up by another one.

        Raises:
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget does not allow the call.
            StoreError: the completion store fails.
        """
        self._stats.requests += 1
        asked, parent, before, asks = request, None, None, 0
        while True:
            request_id, identity = identify(asked, self._settings.model_name, self._endpoint)
            call = Call(run, asked, request_id, identity, parent)
            record, paid = await self._once(call)
            outcome = outcome_of(request, request_id, record, not paid, before)
            if outcome.from_store and asks == 0:
                self._stats.from_store += 1
            again = follow_up(asked, reading_of(outcome), record.raw or "", asks)
            if again is None:
                self.done += 1
                return outcome
            if run.closed:
                return None
            asked, parent, before, asks = again, request_id, outcome, asks + 1

    async def _once(self, call: Call) -> tuple[Record, bool]:
        """Return the completion of a call and whether it was paid for by this call.

        Identical requests in one engine wait for the first of them.
        """
        while (first := self._open.get(call.request_id)) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                return first.result(), False
        future = self._open[call.request_id] = asyncio.get_running_loop().create_future()
        try:
            record, paid = await self._complete(call)
            future.set_result(record)
        finally:
            del self._open[call.request_id]
            future.cancel()
        return record, paid

    async def _complete(self, call: Call) -> tuple[Record, bool]:
        """Take a call from its claim to its stored completion."""
        call.run.calls.add(call)
        try:
            while True:
                claim = await self._claim(call)
                if claim.record is not None:
                    return claim.record, False
                if call.batched:
                    sent = await self._batches.send(call, claim.batched)
                else:
                    sent = await self._send(call)
                # None: the batch brought no reply to this call, so claim it again.
                if sent is not None and await self._is_final(call, sent[0]):
                    record = await self._store(call, *sent)
                    call.settle(stored=True)
                    return record, True
        except BaseException:
            # A call that was sent but not answered may have been billed.
            charge_usd = call.reserved_usd if call.state == "sent" else 0.0
            self._claims.give_back(call.reserved_usd, charge_usd)
            call.reserved_usd = 0.0
            self._claims.release([call.request_id])
            raise
        finally:
            call.run.calls.discard(call)
            call.settle(stored=False)

    # 1. Claim, and reserve what the call may cost.

    async def _claim(self, call: Call) -> Claim:
        bound_usd = 0.0 if call.reserved_usd else self._bound_of(call.request)
        while True:
            claim = await self._claims.claim(call.request_id, bound_usd)
            call.batched = claim.batched or self._settings.mode == "batch"
            if claim.record is not None:
                # The reservation was made by an earlier attempt of this call.
                self._claims.give_back(call.reserved_usd)
                call.reserved_usd = 0.0
                return claim
            if claim.batched and not self._warned:
                self._warned = True
                LOGGER.warning(
                    "Requests of this step are under way in a batch that was submitted earlier. "
                    "This run waits for them instead of paying again. To send the rest live, "
                    "cancel that batch at the endpoint."
                )
            if claim.ours:
                call.reserved_usd += claim.reserved_usd
                return claim
            if claim.short is not None and not self._batches.busy:
                self._raise_if_spent(claim.short)
            await self._claims.wait()

    def _bound_of(self, request: Request) -> float:
        """Return the most a request can cost, in US dollars; 0 without a budget."""
        if self._budget is None:
            return 0.0
        price = self._settings.price_of(request.model, self._endpoint)
        if price is None:
            model = request.model or self._settings.model_name
            raise BudgetError(
                f"A budget is set, but the price of {model} at {self._endpoint} is not known, so "
                "nothing was sent: add it to the file that TARGEN_PRICES names."
            )
        return bound(request, price, batch=self._settings.mode == "batch")

    def _raise_if_spent(self, short: Mapping[str, tuple[float, float]]) -> None:
        """Raise BudgetError unless an open call may still give back part of its reservation."""
        if self._budget is None or any(reserved > DOLLAR_DUST for _, reserved in short.values()):
            return
        words = BudgetLedger.words(short, self._budget.ceilings)
        raise BudgetError(
            f"The budget does not allow the next call ({words}). Everything paid for is "
            "stored: raise the budget, and the run continues where it stopped."
        )

    # 2. and 3. Wait for the rate limiter, and send.

    async def _send(self, call: Call) -> tuple[Reply, float]:
        """Return the reply to a call and the seconds it took."""
        slot = await self._limiter.acquire(call.request_id, call.request, first=call.tries > 0)
        call.state = "sent"
        key = f"targen-{call.request_id[:40]}"
        timeout_s = timeout_of(call.request, self._settings, call.timeouts)
        try:
            body, call.profile = self._adapter.body(call.request)
            reply, headers = await self._client.chat(body, key, timeout_s)
            reply = self._adapter.of_an_outage(reply)
        except BaseException:
            self._limiter.lost(slot)
            raise
        now = time.monotonic()
        if not reply.ambiguous:
            # It certainly cost nothing but what the answer says, even if this ends the engine.
            call.state = "answered"
        try:
            self._observe(call, slot, now, reply, timeout_s)
        finally:
            self._limiter.replied(slot, now, reply, headers)
        call.state = "answered"
        return reply, now - slot.sent_at

    def _observe(self, call: Call, slot: Slot, now: float, reply: Reply, timeout_s: float) -> None:
        """Note what a reply says about the endpoint as a whole."""
        call.tries += 1
        if reply.kind == "throttled":
            call.throttled += 1
            self._outage.throttled(now, reply)
        elif reply.kind == "transient":
            timed_out = reply.code == 0 and now - slot.sent_at >= 0.95 * timeout_s
            call.timeouts += timed_out
            if self._outage.failed(call.request_id, slot.sent_at, now, reply, timed_out):
                # A timeout costs more than an error.
                call.attempts += 2 if timed_out else 1
        else:
            self._outage.good(now, answered=reply.kind not in ("refused", "endpoint"))

    # 4. Interpret.

    async def _is_final(self, call: Call, reply: Reply) -> bool:
        """Return whether a reply ends its call; else wait until the call may be tried again."""
        if call.batched:
            # Batches adapt and retry on their own.
            call.state = "answered"
        elif call.profile and self._adapter.adapt(call.request, call.profile, reply):
            call.state = "waiting"
            return False
        if (error := self._adapter.fatal_error(call.request, reply)) is not None:
            raise error
        if reply.kind not in ("throttled", "transient"):
            self._outage.good(time.monotonic())
            if reply.answer is not None:
                self._adapter.answered()
            return True
        if reply.kind == "transient" and call.attempts >= MAX_ATTEMPTS:
            return True
        if reply.kind == "throttled":
            self._stats.throttled += 1
            turn = min(call.throttled, 4)
        else:
            self._stats.retried += 1
            turn = min(call.tries, MAX_ATTEMPTS)
        if reply.ambiguous and call.reserved_usd:
            # It may have been billed, so the next try needs a reservation of its own.
            self._claims.give_back(call.reserved_usd, call.reserved_usd)
            call.reserved_usd = 0.0
        call.state = "waiting"
        if not call.batched:
            await asyncio.sleep(retry.backoff(call.request_id, turn, reply.retry_after))
        return False

    # 5. Store.

    async def _store(self, call: Call, reply: Reply, seconds: float) -> Record:
        answer = reply.answer
        if answer is None:
            status: Status = "filtered" if reply.kind == "filtered" else "failed"
            self._stats.failed += status == "failed"
            words = self._adapter.reason(call.request, reply)
            if reply.kind == "transient":
                words += f" (tried {call.tries - call.throttled} times)"
            # A call that may have been billed without a usable reply is charged its bound.
            cost_usd = None if reply.ambiguous and call.reserved_usd else 0.0
            return await self._put(call, status, words, None, None, cost_usd=cost_usd)
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        cost = self._cost_of(call, answer)
        self._stats.paid(prompt, completion, cost, seconds, answer.cached_tokens)
        reading = interpret(answer, call.request)
        return await self._put(
            call,
            reading.status,
            reading.error,
            answer.refusal if answer.refusal and not answer.text else answer.text,
            reading.parsed,
            served_model=answer.model,
            fingerprint=answer.fingerprint,
            provider_id=answer.provider_id,
            finish=answer.finish[:32],
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=answer.cached_tokens,
            cost_usd=cost,
            mean_logprob=answer.logprob,
            latency=seconds,
            mode="batch" if call.batched else "live",
        )

    def _cost_of(self, call: Call, answer: Answer) -> float | None:
        """Return what an answer cost, in US dollars; None if that is not known."""
        if self._settings.embedded:
            return 0.0
        price = self._settings.price_of(call.request.model, self._endpoint)
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        if price is None or prompt is None or completion is None:
            return None
        return price.cost(prompt, completion, call.batched, answer.cached_tokens)

    async def _put(
        self,
        call: Call,
        status: Status,
        error: str | None,
        raw: str | None,
        parsed: Parsed | None,
        **columns: Any,
    ) -> Record:
        row = {
            "request_id": call.request_id,
            "parent_request_id": call.parent_id,
            "status": status,
            "endpoint": self._endpoint,
            "model": call.request.model or self._settings.model_name,
            "identity": pack(call.identity),
            "raw": None if raw is None else pack(raw.encode("utf-8", "replace")),
            "error": error,
            "simulated": self._settings.embedded,
            "attempts": call.tries - call.throttled,
            "mode": self._settings.mode,
            "run_id": self._settings.run_id,
            "project_version": targen.__version__,
            **dict.fromkeys(_OPTIONAL),
            **columns,
        }
        cost = row["cost_usd"]
        # If the endpoint did not count the tokens, the call is assumed to have cost its bound.
        row["charge_usd"] = call.reserved_usd if cost is None else cost
        # In one transaction with the charge; otherwise the budget would briefly seem to have room.
        row["back_usd"], call.reserved_usd = call.reserved_usd, 0.0
        try:
            await self._claims.put(row)
        finally:
            if raw is not None and not call.batched:
                self._limiter.stored()
        return Record(
            status,
            raw,
            error,
            row["prompt_tokens"] or 0,
            row["completion_tokens"] or 0,
            cost,
            row["mean_logprob"],
            parsed,
        )
