"""Embeddings through the same endpoint settings, store, budget and limiter as chat.

Two processes that embed the same text at the same moment both pay: texts are not leased.
"""

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from targen.errors import BudgetError, EndpointError, NoEmbeddingsError
from targen.hashing import digest
from targen.llm import local_embeddings, retry
from targen.llm import reply as replies
from targen.llm.adaptation import key_advice
from targen.llm.client import Client
from targen.llm.completion import count_of
from targen.llm.outage import MAX_ATTEMPTS, Outage
from targen.llm.prices import Price, price_of
from targen.llm.progress import Stats
from targen.llm.rate_limiter import RateLimiter
from targen.llm.settings import EngineSettings
from targen.store import embeddings as kept
from targen.store.budgets import DOLLAR_DUST, BudgetLedger
from targen.store.completions import Store
from targen.store.ledger import Ledger
from targen.store.writer import Writer

TEXTS = 64
"""Maximum number of texts in one request; all known endpoints take this number."""

BYTES = 100_000
"""UTF-8 bytes in one request at most, so that no request exceeds OpenAI's 300,000 tokens."""


_UNREADABLE = (
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,  # An integer that is too long for a float.
    binascii.Error,
)


@dataclass(frozen=True, slots=True)
class Vectors:
    """A reply that could be read: (texts, dimensions), its tokens, and what is reserved for it."""

    rows: npt.NDArray[np.float32]
    tokens: int | None
    reserved: float = 0.0


def parts(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the texts by key in requests of at most `TEXTS` texts and `BYTES` bytes."""
    found: list[dict[str, str]] = []
    size = 0
    for key, text in texts.items():
        length = len(sendable(text).encode())
        if not found or len(found[-1]) >= TEXTS or size + length > BYTES:
            found.append({})
            size = 0
        found[-1][key] = text
        size += length
    return found


def read_answer(content: bytes, count: int) -> Vectors:
    """Return the vectors of a reply in the order of the texts.

    Raises:
        ValueError: it is not `count` finite vectors of one length.
    """
    try:
        data = json.loads(content)
        items = data["data"]
        places = [item.get("index", at) for at, item in enumerate(items)]
        vectors = [_vector(item["embedding"]) for item in items]
        whole = len(items) == count and set(places) == set(range(count))
    except _UNREADABLE as error:
        words = f"it lacks fields of an embeddings reply ({type(error).__name__})"
        raise ValueError(words) from error
    if not whole:
        raise ValueError(
            f"it contains {len(places)} vectors for {count} texts, or their indexes are not those "
            "of the texts"
        )
    if len({vector.size for vector in vectors}) != 1 or not vectors[0].size:
        raise ValueError("its vectors differ in length")
    rows = np.stack([vector for _, vector in sorted(zip(places, vectors, strict=True), key=_first)])
    if not np.isfinite(rows).all():
        raise ValueError("it contains numbers that are not finite")
    return Vectors(rows, count_of(data.get("usage"), "prompt_tokens"))


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _vector(given: Any) -> npt.NDArray[np.float32]:
    """Return a vector that came as a list of numbers or as base64 of little-endian floats."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4")
    return np.asarray(given, dtype=np.float32).reshape(-1)


def sendable(text: str) -> str:
    """Return the text with lone surrogates, which JSON in UTF-8 cannot hold, as question marks."""
    return text.encode("utf-8", "replace").decode()


Floats = npt.NDArray[np.float64]

SCHEME = 1
"""Raised when the identity is built differently; every older vector is then requested again."""

SHORTEST = 200
"""Characters below which a text that is refused for its length is not cut further."""

_AWAIT_ROOM_S = 0.2
_PARALLEL = 16
_MISSING = (403, 404, 405, 501)
_TOO_LONG = re.compile(r"token|length|context|long|large|maxim|batch|size|exceed", re.IGNORECASE)


class Embeddings:
    """The embedding model of one engine; opened with the first text, closed by the engine."""

    def __init__(
        self,
        settings: EngineSettings,
        store: Store,
        writer: Writer,
        ledger: Ledger,
        budget: BudgetLedger | None,
        stats: Stats,
    ) -> None:
        """Make it; nothing is opened yet."""
        self.local = local_embeddings.name_of(settings.embedding_model)
        # The client takes the simulator or the endpoint by the embedding model alone.
        self._settings = settings.to_embed()
        self._store, self._writer, self._ledger = store, writer, ledger
        self._budget, self._stats = budget, stats
        self._client: Client | None = None
        self._endpoint = local_embeddings.ENDPOINT if self.local else ""
        self._encoding: str | None = "base64"

    @property
    def model(self) -> str:
        """The model's name in the store."""
        return self.local or self._settings.model_name

    @property
    def simulated(self) -> bool:
        """True where the simulator makes the vectors."""
        return self._settings.embedded and not self.local

    async def of(self, texts: Sequence[str]) -> Floats:
        """Return one vector per text, (texts, dimensions); zero for a text without a letter.

        Raises:
            NoEmbeddingsError: the endpoint gives none.
            EndpointError: the endpoint cannot be used at all, or changed its vectors' length.
            BudgetError: the budget does not allow the next request.
            StoreError: the completion store fails.
        """
        self._open()
        wanted = {self._key(text): text for text in texts if text.strip()}
        self._stats.requests += len(wanted)
        found = await asyncio.to_thread(kept.read, self._store, list(wanted))
        self._stats.from_store += len(found)
        missing = {key: text for key, text in wanted.items() if key not in found}
        leave = asyncio.Semaphore(1 if self.local else _PARALLEL)

        async def asked(part: Mapping[str, str]) -> None:
            async with leave:
                found.update(await self._ask(part))

        async with _one_error(), asyncio.TaskGroup() as group:
            for part in parts(missing):
                group.create_task(asked(part))
        return self._table(texts, found)

    def _table(self, texts: Sequence[str], found: Mapping[str, npt.NDArray[np.float32]]) -> Floats:
        sizes = sorted({vector.size for vector in found.values()})
        if len(sizes) > 1:
            raise EndpointError(
                f"{self.model} gave vectors of {sizes[0]} and of {sizes[-1]} dimensions under one "
                "name. Give the changed endpoint a name of its own (TARGEN_ENDPOINT_NAME)."
            )
        table = np.zeros((len(texts), sizes[0] if sizes else 1))
        for at, text in enumerate(texts):
            if text.strip():
                table[at] = found[self._key(text)]
        return table

    def _key(self, text: str) -> str:
        content = {"scheme": SCHEME, "endpoint": self._endpoint, "model": self.model, "text": text}
        return digest({"embedding": content})

    def _open(self) -> None:
        """Open the client with the first text: most engines never embed one."""
        if self._client is not None or self.local:
            return
        self._client = Client(self._settings)
        self._endpoint = self._settings.endpoint(self._client.base_url)
        shared = None
        if not self._settings.embedded:
            shared = (self._writer, f"{self._endpoint} {self.model}", self._ledger.owner)
        self._outage = Outage(
            self._client.base_url,
            self._settings.patience_s,
            f"Texts cannot be embedded by {self.model}",
        )
        self._limiter = RateLimiter(
            self._settings.concurrency, shared, self._outage, self._settings.requests_per_minute
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._limiter.close()
            await self._client.close()

    # Asking.

    async def _ask(self, part: Mapping[str, str]) -> dict[str, npt.NDArray[np.float32]]:
        """Embed the texts of one request, store the vectors and return them by key."""
        started = time.monotonic()
        texts = list(part.values())
        if self.local:
            rows = await asyncio.to_thread(local_embeddings.encode, self.local, texts)
            return await self._keep(part, Vectors(rows, None), 0.0, 0.0)
        answer = await self._answered(texts)
        if answer is None:
            # Each half is stored by itself: the second may fail after the first was paid for.
            items = list(part.items())
            middle = len(items) // 2
            first = await self._ask(dict(items[:middle]))
            return first | await self._ask(dict(items[middle:]))
        cost = self._cost(answer.tokens)
        self._stats.paid(answer.tokens or 0, 0, cost, time.monotonic() - started)
        try:
            return await self._keep(part, answer, cost, answer.reserved if cost is None else cost)
        finally:
            # After the charge: the other way round there would be room that is not there.
            await self._give_back(answer.reserved)

    async def _answered(self, texts: Sequence[str]) -> Vectors | None:
        """Send one request until it is answered; None where it is too much at once."""
        attempt = throttled = tries = 0
        key = digest(list(texts))
        while True:
            sent = time.monotonic()
            answer, reply = await self._send(key, texts)
            now = time.monotonic()
            if answer is not None:
                self._outage.good(now)
                return answer
            if reply.code in _MISSING:
                raise NoEmbeddingsError(
                    f"{self.model} at {self._endpoint} gives no embeddings: it answers "
                    f"{reply.code} ({reply.words.rstrip('.')})."
                )
            if reply.kind not in ("throttled", "transient"):
                if self._encoding and "encoding_format" in f"{reply.param} {reply.words}":
                    self._encoding = None
                    continue
                return await self._smaller(texts, reply)
            tries += 1
            if reply.kind == "throttled":
                throttled += 1
                self._outage.throttled(now, reply)
            else:
                attempt += self._outage.failed(key, sent, now, reply, timed_out=False)
            if attempt >= MAX_ATTEMPTS:
                words = f"{reply.message(self._endpoint)} (tried {tries} times)"
                raise EndpointError(f"Texts cannot be embedded by {self.model}: {words}.")
            self._stats.throttled += reply.kind == "throttled"
            self._stats.retried += reply.kind == "transient"
            turn = max(1, tries - throttled, min(throttled, 4))
            await asyncio.sleep(retry.backoff(key, turn, reply.retry_after))

    async def _smaller(self, texts: Sequence[str], reply: replies.Reply) -> Vectors | None:
        """Answer the beginning of a text that is too long; None: fewer texts may be taken.

        Raises:
            EndpointError: nothing smaller would help.
        """
        if reply.kind != "endpoint" and (reply.code == 413 or _TOO_LONG.search(reply.words)):
            if len(texts) > 1:
                return None
            if len(texts[0]) > SHORTEST:
                # What the model cannot read to the end, it is given the beginning of.
                return await self._answered([texts[0][: len(texts[0]) // 2]])
        advice = key_advice(self._settings) if reply.code == 401 else "check TARGEN_EMBEDDING_MODEL"
        raise EndpointError(
            f"{self.model} at {self._endpoint} refuses to embed a text ({reply.code}): "
            f"{reply.words.rstrip('.')}. Please {advice}."
        )

    async def _send(self, key: str, texts: Sequence[str]) -> tuple[Vectors | None, replies.Reply]:
        """Send one request when the limiter lets it; return the vectors, or why there are none."""
        body: dict[str, Any] = {"model": self.model, "input": [sendable(t) for t in texts]}
        if self._encoding:
            body["encoding_format"] = self._encoding
        reserved = await self._reserve(self._bound(texts))
        try:
            slot = await self._limiter.acquire(key)
        except BaseException:
            await self._give_back(reserved)
            raise
        try:
            vectors, reply, headers = await self._post(body, len(texts))
        except BaseException:
            self._limiter.lost(slot)
            # Sent and abandoned: it may have been paid.
            await self._give_back(reserved, charge=reserved)
            raise
        self._limiter.replied(slot, time.monotonic(), reply, headers)
        if vectors is not None:
            return replace(vectors, reserved=reserved), reply
        await self._give_back(reserved, charge=reserved if reply.ambiguous else 0.0)
        return None, reply

    async def _post(
        self, body: dict[str, Any], count: int
    ) -> tuple[Vectors | None, replies.Reply, Mapping[str, str]]:
        import openai  # noqa: PLC0415 - slow to import

        assert self._client is not None
        try:
            response = await self._client.sdk.post(
                "/embeddings", cast_to=httpx2.Response, body=body, options={"max_retries": 0}
            )
        except openai.APIStatusError as error:
            response = error.response
        except Exception as error:
            return None, self._client.reply_of(error, body), {}
        if response.status_code >= 300:
            return None, self._client.read(response), response.headers
        try:
            read = read_answer(response.content, count)
        except ValueError as error:
            words = f"the reply is not a usable embeddings reply: {error}"
            return None, replies.Reply("transient", words=words, ambiguous=True), response.headers
        return read, replies.Reply("answer", code=response.status_code), response.headers

    # Money.

    def _price(self) -> Price | None:
        return Price(0, 0) if self._settings.embedded else price_of(self.model, self._endpoint)

    def _bound(self, texts: Sequence[str]) -> float:
        """Return the most a request can cost: no tokenizer makes more tokens than bytes."""
        if self._budget is None:
            return 0.0
        price = self._price()
        if price is None:
            raise BudgetError(
                f"A budget is set, but the price of {self.model} at {self._endpoint} is not "
                "known, so nothing was embedded: add it to the file that TARGEN_PRICES names."
            )
        return price.cost(sum(len(sendable(text).encode()) + 8 for text in texts), 0)

    def _cost(self, tokens: int | None) -> float | None:
        price = self._price()
        if self._settings.embedded:
            return 0.0
        return None if price is None or tokens is None else price.cost(tokens, 0)

    async def _reserve(self, amount: float) -> float:
        """Reserve what a request may cost; wait while others may give something back."""
        budget = self._budget
        if budget is None or not amount:
            return 0.0
        while True:
            asked = asyncio.ensure_future(
                self._writer.call(lambda c: (budget.reserve(c, [amount]), budget.state(c)))
            )
            try:
                fits, state = await asyncio.shield(asked)
            except asyncio.CancelledError:
                # It is committed all the same.
                if (await asked)[0]:
                    await self._give_back(amount)
                raise
            if fits:
                return amount
            if all(held <= DOLLAR_DUST for _, held in state.values()):
                words = BudgetLedger.words(state, budget.ceilings)
                raise BudgetError(
                    f"The budget does not allow the next texts to be embedded ({words}). "
                    "Everything paid for is stored: raise the budget, and the run continues where "
                    "it stopped."
                )
            await asyncio.sleep(_AWAIT_ROOM_S)

    async def _give_back(self, reserved: float, charge: float = 0.0) -> None:
        """End a reservation; `charge` is what counts as spent although nothing came."""
        budget = self._budget
        if budget is None or not reserved:
            return

        def work(connection: sa.Connection) -> None:
            budget.give_back(connection, reserved)
            self._ledger.charge(connection, charge)

        await self._writer.call(work)

    async def _keep(
        self, part: Mapping[str, str], answer: Vectors, cost: float | None, charged: float
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Store the vectors of one request; only then are they handed on."""
        common = {
            "endpoint": self._endpoint,
            "model": self.model,
            "simulated": self.simulated,
            "run_id": self._settings.run_id,
        }
        rows = kept.rows(list(part.items()), answer.rows, answer.tokens, cost, common)
        await self._writer.call(kept.put(rows, lambda c: self._ledger.charge(c, charged)))
        return dict(zip(part, answer.rows, strict=True))


class _one_error:  # noqa: N801 - read as a statement
    """Raises the first error of a group of tasks by itself: the others only followed it."""

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, BaseExceptionGroup):
            first = error.exceptions[0]
            raise first from first.__cause__
