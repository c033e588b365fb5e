"""OpenAI's files and batches, kept in the memory of one application."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.responses import CREATED, ApiError, body_of, render

Handler = Callable[[Mapping[str, Any]], dict[str, Any]]
Json = dict[str, Any]
_PAUSE_EVERY: Final = 64
"""Other requests get a turn after this many lines of a batch."""


class Batches:
    """The files and batches of one application.

    Args:
        handlers: endpoint -> the function that answers its requests.
        seconds: how long a batch stays in progress.
    """

    def __init__(self, handlers: Mapping[str, Handler], seconds: float) -> None:
        self._handlers = handlers
        self._seconds = seconds
        self._files: dict[str, Json] = {}
        self._contents: dict[str, bytes] = {}
        self._batches: dict[str, Json] = {}
        self._due: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """Return the routes under /v1/files and /v1/batches."""
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list_files),
            Route("/v1/files/{id}", self._get_file),
            Route("/v1/files/{id}", self._delete, methods=["DELETE"]),
            Route("/v1/files/{id}/content", self._content),
            Route("/v1/batches", self._create, methods=["POST"]),
            Route("/v1/batches", self._list_batches),
            Route("/v1/batches/{id}", self._get_batch),
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
            return render(self._keep(upload.filename or "upload", purpose, content))

    def _keep(self, name: str, purpose: str, content: bytes) -> Json:
        mark = sha256(b"%d" % len(self._files) + content).hexdigest()[:24]
        file: Json = {
            "id": f"file-{mark}",
            "object": "file",
            "bytes": len(content),
            "created_at": CREATED,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self._files[file["id"]], self._contents[file["id"]] = file, content
        return file

    def _file(self, request: Request) -> Json:
        name = request.path_params["id"]
        if name not in self._files:
            raise ApiError(f"No such File object: {name}", status=404, param="id")
        return self._files[name]

    async def _get_file(self, request: Request) -> Response:
        return render(self._file(request))

    async def _content(self, request: Request) -> Response:
        content = self._contents[self._file(request)["id"]]
        return Response(content, media_type="application/octet-stream")

    async def _delete(self, request: Request) -> Response:
        name = self._file(request)["id"]
        del self._files[name], self._contents[name]
        return render({"id": name, "object": "file", "deleted": True})

    async def _list_files(self, request: Request) -> Response:
        purpose = request.query_params.get("purpose")
        wanted = [f for f in self._files.values() if purpose in (None, f["purpose"])]
        return render(_page(request, wanted))

    async def _create(self, request: Request) -> Response:
        body = await body_of(request)
        endpoint, source = str(body.get("endpoint")), str(body.get("input_file_id"))
        if endpoint not in self._handlers:
            raise ApiError(f"Invalid endpoint: {endpoint}", param="endpoint")
        if source not in self._files:
            raise ApiError(f"No such File object: {source}", status=404, param="input_file_id")
        mark = sha256(f"{len(self._batches)} {source}".encode()).hexdigest()[:24]
        batch: Json = {
            "id": f"batch_{mark}",
            "object": "batch",
            "endpoint": endpoint,
            "errors": None,
            "input_file_id": source,
            "completion_window": str(body.get("completion_window", "24h")),
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": CREATED,
            "in_progress_at": CREATED,
            "expires_at": CREATED + 86_400,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
        }
        self._batches[batch["id"]] = batch
        self._due[batch["id"]] = time.monotonic() + self._seconds
        await self._advance(batch)
        return render(batch)

    def _batch(self, request: Request) -> Json:
        name = request.path_params["id"]
        if name not in self._batches:
            raise ApiError(f"No batch found with id '{name}'.", status=404, param="id")
        return self._batches[name]

    async def _get_batch(self, request: Request) -> Response:
        batch = self._batch(request)
        await self._advance(batch)
        return render(batch)

    async def _list_batches(self, request: Request) -> Response:
        for batch in list(self._batches.values()):
            await self._advance(batch)
        return render(_page(request, list(self._batches.values())))

    async def _cancel(self, request: Request) -> Response:
        batch = self._batch(request)
        if batch["status"] != "in_progress":
            raise ApiError(f"Cannot cancel a batch with status '{batch['status']}'.", status=409)
        _set_status(batch, "cancelled")
        return render(batch)

    async def _advance(self, batch: Json) -> None:
        if batch["status"] != "in_progress" or time.monotonic() < self._due[batch["id"]]:
            return
        _set_status(batch, "finalizing")
        lines = [line for line in self._contents[batch["input_file_id"]].splitlines() if line]
        counts = batch["request_counts"]
        counts["total"] = len(lines)
        requests, errors = [], []
        for number, line in enumerate(lines, 1):
            try:
                one = json.loads(line)
                requests.append((str(one["custom_id"]), str(one["url"]), dict(one["body"])))
            except (ValueError, KeyError, TypeError) as error:
                problem = f"Line {number} is not a batch request: {error}"
                fault = {"code": "invalid_json_line", "message": problem, "line": number}
                errors.append({**fault, "param": None})
        if errors:
            batch["errors"] = {"object": "list", "data": errors}
            _set_status(batch, "failed")
            return
        good: list[str] = []
        bad: list[str] = []
        for number, (custom_id, url, body) in enumerate(requests):
            if number % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            status, content = self._answer(url if url == batch["endpoint"] else "", body)
            mark = f"batch_req_{batch['id'][6:18]}{number:08d}"
            response = {"status_code": status, "request_id": mark, "body": content}
            result = {"id": mark, "custom_id": custom_id, "response": response, "error": None}
            (good if status == 200 else bad).append(json.dumps(result, ensure_ascii=False))
        counts["completed"], counts["failed"] = len(good), len(bad)
        for kind, results in (("output", good), ("error", bad)):
            if results:
                data = ("\n".join(results) + "\n").encode("utf-8", "replace")
                file = self._keep(f"{batch['id']}_{kind}.jsonl", "batch_output", data)
                batch[f"{kind}_file_id"] = file["id"]
        _set_status(batch, "completed")

    def _answer(self, url: str, body: Mapping[str, Any]) -> tuple[int, Json]:
        try:
            if url not in self._handlers:
                raise ApiError("The URL of a line must be the endpoint of its batch.", param="url")
            return 200, self._handlers[url](body)
        except ApiError as error:
            return error.status, error.content


def _set_status(batch: Json, status: str) -> None:
    batch.pop("finalizing_at", None)
    batch.update({"status": status, f"{status}_at": CREATED})
    # OpenAI lists these two last.
    for key in ("request_counts", "metadata"):
        batch[key] = batch.pop(key)


def _page(request: Request, found: list[Json]) -> Json:
    """Return the page of a list that `after` and `limit` select."""
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
