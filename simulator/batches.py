"""Files and batches of the embedded model, kept in the application's memory."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.responses import CREATED, ApiError, render

Handler = Callable[[Mapping[str, Any]], dict[str, Any]]
_PAUSE_EVERY: Final = 64
_COUNTS: Final = ("total", "completed", "failed")


@dataclass
class _File:
    id: str
    name: str
    purpose: str
    content: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": CREATED,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass
class _Batch:
    id: str
    endpoint: str
    input_file_id: str
    window: str
    metadata: Any
    due: float
    status: str = "in_progress"
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))

    def as_json(self) -> dict[str, Any]:
        ended = {f"{self.status}_at": CREATED} if self.status != "in_progress" else {}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": self.window,
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": CREATED,
            "in_progress_at": CREATED,
            "expires_at": CREATED + 86_400,
            **ended,
            "request_counts": self.counts,
            "metadata": self.metadata,
        }


class Batches:
    """The files and batches of one application."""

    def __init__(self, handlers: Mapping[str, Handler], seconds: float) -> None:
        self._handlers = handlers
        self._seconds = seconds
        self._files: dict[str, _File] = {}
        self._batches: dict[str, _Batch] = {}

    def routes(self) -> list[Route]:
        """Return the routes under /v1/files and /v1/batches."""
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list_files),
            Route("/v1/files/{id}", self._file),
            Route("/v1/files/{id}", self._delete, methods=["DELETE"]),
            Route("/v1/files/{id}/content", self._content),
            Route("/v1/batches", self._create, methods=["POST"]),
            Route("/v1/batches", self._list_batches),
            Route("/v1/batches/{id}", self._batch),
            Route("/v1/batches/{id}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            upload, purpose = form.get("file"), form.get("purpose")
            if not isinstance(upload, UploadFile):
                raise ApiError("'file' is a required property.", param="file")
            if not isinstance(purpose, str):
                raise ApiError("'purpose' is a required property.", param="purpose")
            content = await upload.read()
            name = upload.filename or "upload"
        return render(self._keep(name, purpose, content).as_json())

    def _keep(self, name: str, purpose: str, content: bytes) -> _File:
        mark = sha256(b"%d" % len(self._files) + content).hexdigest()[:24]
        kept = _File(f"file-{mark}", name, purpose, content)
        self._files[kept.id] = kept
        return kept

    def _find_file(self, request: Request) -> _File:
        name = request.path_params["id"]
        if name not in self._files:
            raise ApiError(f"No such File object: {name}", status=404, param="id")
        return self._files[name]

    async def _file(self, request: Request) -> Response:
        return render(self._find_file(request).as_json())

    async def _content(self, request: Request) -> Response:
        return Response(self._find_file(request).content, media_type="application/octet-stream")

    async def _delete(self, request: Request) -> Response:
        gone = self._files.pop(self._find_file(request).id)
        return render({"id": gone.id, "object": "file", "deleted": True})

    async def _list_files(self, request: Request) -> Response:
        purpose = request.query_params.get("purpose")
        wanted = [f for f in self._files.values() if purpose in (None, f.purpose)]
        return render(_page(request, [one.as_json() for one in wanted]))

    async def _create(self, request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            raise ApiError(f"The body is not valid JSON: {error}") from error
        endpoint, source = str(body.get("endpoint")), str(body.get("input_file_id"))
        if endpoint not in self._handlers:
            raise ApiError(f"Invalid endpoint: {endpoint}", param="endpoint")
        if source not in self._files:
            raise ApiError(f"No such File object: {source}", status=404, param="input_file_id")
        mark = sha256(f"{len(self._batches)} {source}".encode()).hexdigest()[:24]
        batch = _Batch(
            f"batch_{mark}",
            endpoint,
            source,
            str(body.get("completion_window", "24h")),
            body.get("metadata"),
            time.monotonic() + self._seconds,
        )
        self._batches[batch.id] = batch
        await self._advance(batch)
        return render(batch.as_json())

    def _find_batch(self, request: Request) -> _Batch:
        name = request.path_params["id"]
        if name not in self._batches:
            raise ApiError(f"No batch found with id '{name}'.", status=404, param="id")
        return self._batches[name]

    async def _batch(self, request: Request) -> Response:
        batch = self._find_batch(request)
        await self._advance(batch)
        return render(batch.as_json())

    async def _list_batches(self, request: Request) -> Response:
        for batch in list(self._batches.values()):
            await self._advance(batch)
        return render(_page(request, [one.as_json() for one in self._batches.values()]))

    async def _cancel(self, request: Request) -> Response:
        batch = self._find_batch(request)
        if batch.status != "in_progress":
            raise ApiError(f"Cannot cancel a batch with status '{batch.status}'.", status=409)
        batch.status = "cancelled"
        return render(batch.as_json())

    async def _advance(self, batch: _Batch) -> None:
        """Process a batch when its time has come."""
        if batch.status != "in_progress" or time.monotonic() < batch.due:
            return
        batch.status = "finalizing"
        lines = [line for line in self._files[batch.input_file_id].content.splitlines() if line]
        batch.counts["total"] = len(lines)
        requests = []
        for number, line in enumerate(lines, 1):
            try:
                one = json.loads(line)
                requests.append((str(one["custom_id"]), str(one["url"]), dict(one["body"])))
            except (ValueError, KeyError, TypeError) as error:
                problem = f"Line {number} is not a batch request: {error}"
                fault = {"code": "invalid_json_line", "message": problem, "line": number}
                batch.errors.append({**fault, "param": None})
        if batch.errors:
            batch.status = "failed"
            return
        good: list[str] = []
        bad: list[str] = []
        for number, (custom_id, url, body) in enumerate(requests):
            if number % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            status, content = self._one(url if url == batch.endpoint else "", body)
            mark = f"batch_req_{batch.id[6:18]}{number:08d}"
            response = {"status_code": status, "request_id": mark, "body": content}
            result = {"id": mark, "custom_id": custom_id, "response": response, "error": None}
            (good if status == 200 else bad).append(json.dumps(result, ensure_ascii=False))
        batch.counts["completed"], batch.counts["failed"] = len(good), len(bad)
        if good:
            batch.output_file_id = self._result(batch, "output", good)
        if bad:
            batch.error_file_id = self._result(batch, "error", bad)
        batch.status = "completed"

    def _one(self, url: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            if url not in self._handlers:
                raise ApiError("The URL of a line must be the endpoint of its batch.", param="url")
            return 200, self._handlers[url](body)
        except ApiError as error:
            return error.status, error.content

    def _result(self, batch: _Batch, kind: str, lines: list[str]) -> str:
        content = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        return self._keep(f"{batch.id}_{kind}.jsonl", "batch_output", content).id


def _page(request: Request, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the page of a list that `after` and `limit` name."""
    after = request.query_params.get("after")
    ids = [one["id"] for one in found]
    start = ids.index(after) + 1 if after in ids else 0
    limit = request.query_params.get("limit", "20")
    end = start + (max(1, min(100, int(limit))) if limit.isdigit() else 20)
    page = found[start:end]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": end < len(found),
    }
