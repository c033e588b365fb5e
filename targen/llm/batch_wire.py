"""The files and batches of an endpoint."""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import IO, TYPE_CHECKING, TypeVar

from targen.errors import EndpointError, TargenError
from targen.llm import reply as replies
from targen.llm import retry
from targen.llm.client import Client
from targen.llm.outage import Outage
from targen.llm.reply import Reply
from targen.llm.sanitize import storable
from targen.reading import MOST_BYTES
from targen.redaction import redacted

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch

T = TypeVar("T")

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

_LISTED_MOST = 1000
_READ_CHARACTERS, _WORDS = 2000, 300
_PATIENCE_S = 900.0
_MOST_S = 3600.0
"""Seconds to download a batch's results. OpenAI limits the requests of a batch to 200 MB."""


class RefusedError(EndpointError):
    """The endpoint refused: nothing was started, and asking again will not help."""


class Service:
    """The batch API of one endpoint. Every call is tried again until the endpoint is dead."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._base_url = base_url = client.base_url
        # A batch runs for hours: a quarter of one without the endpoint is no reason to give up.
        self._outage = Outage(base_url, _PATIENCE_S, f"The batches of {base_url} cannot be reached")

    @property
    def _sdk(self) -> "AsyncOpenAI":
        return self._client.sdk

    async def upload(self, file: IO[bytes], key: str) -> str:
        """Upload the lines of a batch; return the file's id.

        Raises:
            RefusedError: the endpoint has no batches, or does not take this file.
            EndpointError: it cannot be reached.
        """
        from openai.types import FileObject  # noqa: PLC0415 - slow to import

        async def send() -> FileObject:
            file.seek(0)
            name = f"targen-{key[:16]}.jsonl"
            return await self._sdk.files.create(
                file=(name, file, "application/jsonl"), purpose="batch"
            )

        made = await self._call(send, key)
        if isinstance(made, Reply):
            raise self._refused(made, "POST /files")
        return self._sound(made, FileObject).id

    async def create(self, file_id: str, key: str, first: bool) -> str:
        """Create a batch from an uploaded file, or find the existing one; return its id.

        Args:
            file_id: the file.
            key: our name for the batch.
            first: True if this is certainly the first attempt.

        Raises:
            RefusedError: the endpoint has no batches, or does not take this one.
            EndpointError: it cannot be reached, or it is not known whether there is one.
        """
        sure = first

        from openai.types import Batch  # noqa: PLC0415 - slow to import

        async def send() -> Batch:
            nonlocal first, sure
            # A try that got no reply may have made one all the same, and that one will be paid.
            sure = first
            known = None if first else await self._listed(file_id)
            first, sure = False, True
            return known or await self._sdk.batches.create(
                completion_window="24h",
                endpoint="/v1/chat/completions",
                input_file_id=file_id,
                metadata={"targen": key},
                extra_headers={"Idempotency-Key": f"targen-{key[:40]}"},
            )

        made = await self._call(send, key)
        if isinstance(made, Reply):
            refused = self._refused(made, "POST /batches")
            raise refused if sure else EndpointError(str(refused))
        return self._sound(made, Batch).id

    async def _listed(self, file_id: str) -> "Batch | None":
        import openai  # noqa: PLC0415 - slow to import

        count = 0
        try:
            async for batch in self._sdk.batches.list(limit=100):
                count += 1
                if batch.input_file_id == file_id:
                    return batch
                if count >= _LISTED_MOST:
                    return None
        except (openai.NotFoundError, openai.BadRequestError):
            # A server that does not list its batches.
            return None
        return None

    async def retrieve(self, batch_id: str) -> "Batch | None":
        """Return the state of a batch; None if the endpoint does not know it.

        Raises:
            EndpointError: the endpoint cannot be reached, or denies access to it.
        """
        from openai.types import Batch  # noqa: PLC0415 - slow to import

        found = await self._call(lambda: self._sdk.batches.retrieve(batch_id), batch_id)
        if isinstance(found, Reply):
            if found.code == 404:
                return None
            raise self._refused(found, "GET /batches")
        return self._sound(found, Batch)

    async def download(self, file_id: str) -> IO[bytes] | None:
        """Return a file's content in a temporary file; None where the endpoint does not have it.

        Raises:
            EndpointError: the endpoint cannot be reached, or denies access to it.
        """

        async def fetch() -> IO[bytes]:
            content = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
            try:
                async with (
                    asyncio.timeout(_MOST_S),
                    self._sdk.files.with_streaming_response.content(file_id) as response,
                ):
                    async for piece in response.iter_bytes():
                        content.write(piece)
                        if content.tell() > MOST_BYTES:
                            raise TimeoutError
            except BaseException as error:
                content.close()
                if not isinstance(error, TimeoutError):
                    raise
                raise RefusedError(
                    f"{self._base_url} sends the results of a batch without end: more than "
                    f"{MOST_BYTES:,} bytes, or more than {_MOST_S:.0f} s. Use live mode."
                ) from None
            content.seek(0)
            return content

        found = await self._call(fetch, file_id)
        if isinstance(found, Reply):
            if found.code == 404:
                return None
            raise self._refused(found, "GET /files")
        return found

    async def _call(self, make: Callable[[], Awaitable[T]], key: str) -> T | Reply:
        """Call until there is a result; return the reply where the endpoint refuses."""
        attempt = 0
        while True:
            try:
                result = await make()
            except (TargenError, OSError):
                # The disk is full, say.
                raise
            except Exception as error:
                reply = self._client.reply_of(error)
            else:
                self._outage.good(time.monotonic())
                return result
            if reply.kind not in ("throttled", "transient") or reply.code == 501:
                return reply
            now = time.monotonic()
            try:
                if reply.kind == "throttled":
                    self._outage.throttled(now, reply)
                else:
                    self._outage.failed(key, now, now, reply, timed_out=False)
            except EndpointError as error:
                raise EndpointError(
                    f"{error} Their ids are stored: run again, and the run continues where it "
                    "stopped."
                ) from None
            attempt += 1
            await asyncio.sleep(retry.backoff(key, min(attempt, 8), reply.retry_after))

    def _refused(self, reply: Reply, what: str) -> RefusedError:
        if reply.code in (404, 405, 501):
            return self._without()
        return RefusedError(
            f"{self._base_url} answers {what} with {reply.code}: {reply.words}. Fix that, "
            "or use live mode."
        )

    def _without(self) -> RefusedError:
        return RefusedError(
            f"{self._base_url} has no batch API (/files and /batches): use live mode there."
        )

    def _sound(self, made: object, kind: type[T]) -> T:
        """Check that something came that looks like what was asked for."""
        if not isinstance(made, kind) or not isinstance(getattr(made, "id", None), str):
            raise self._without()
        return made


def read_line(line: bytes) -> tuple[str, Reply] | None:
    """Return whose line of a result file this is and what it says; None where it says nothing."""
    try:
        data = json.loads(line)
        name, response, error = str(data["custom_id"]), data.get("response"), data.get("error")
        if isinstance(response, dict) and response.get("status_code"):
            content = json.dumps(response.get("body")).encode()
            return name, replies.read(int(response["status_code"]), {}, content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    words = error.get("message") or error.get("code") if isinstance(error, dict) else error
    said = redacted(storable(str(words or "no answer")[:_READ_CHARACTERS]))
    return name, Reply("transient", words=said[:_WORDS])
