"""A small endpoint with the batch API on the loopback, whose batches a test decides on."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.support.endpoint import GOOD, completion, number

Line = dict[str, Any]


def good(name: str, text: str = GOOD) -> Line:
    """A line of a result file with an answer of 7 prompt tokens and 5 of output."""
    body = {
        "id": "c",
        "model": "served-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": text}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }
    return {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}


def bad(name: str, code: int, message: str = "no") -> Line:
    body = {"error": {"message": message}}
    return {"custom_id": name, "response": {"status_code": code, "body": body}, "error": None}


def expired(name: str) -> Line:
    error = {"code": "batch_expired", "message": "not executed in time"}
    return {"custom_id": name, "response": None, "error": error}


class BatchEndpoint:
    """Serves files and batches; a batch ends when `holding` is False and it is looked at.

    `answer(request line, batch number)` makes a result line or None (left out); `ends(batch
    number)` says with which status a batch ends. Results come in the reverse order.
    """

    def __init__(
        self,
        answer: Callable[[Line, int], Line | None] = lambda line, n: good(line["custom_id"]),
        ends: Callable[[int], str] = lambda n: "completed",
        holding: bool = False,
        without: bool = False,
    ) -> None:
        self.answer, self.ends, self.holding, self.without = answer, ends, holding, without
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks = 0
        self.fail_create: list[str] = []
        self.live: list[int] = []

    def sent(self) -> list[list[int]]:
        """The numbers of the requests in each batch, in the order of the batches."""
        return [
            [number(line["body"]) for line in self._lines(batch)] for batch in self.batches.values()
        ]

    def _lines(self, batch: dict[str, Any]) -> list[Line]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    async def _upload(self, incoming: web.Request) -> web.Response:
        form = await incoming.post()
        assert form["purpose"] == "batch"
        file = form["file"]
        assert isinstance(file, web.FileField)
        return self._file(file.file.read())

    def _file(self, content: bytes) -> web.Response:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return web.json_response({"id": name, "object": "file"})

    async def _content(self, incoming: web.Request) -> web.Response:
        return web.Response(body=self.files[incoming.match_info["id"]])

    async def _create(self, incoming: web.Request) -> web.Response:
        body = await incoming.json()
        fault = self.fail_create.pop(0) if self.fail_create else ""
        if fault == "before":
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {"id": name, "object": "batch", "status": "in_progress", **body}
        if fault == "after":
            return web.json_response({"error": {"message": "gateway"}}, status=502)
        return web.json_response(self.batches[name])

    async def _list(self, incoming: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(self.batches.values())})

    async def _chat(self, incoming: web.Request) -> web.Response:
        self.live.append(number(await incoming.json()))
        return completion(GOOD)

    async def _batch(self, incoming: web.Request) -> web.Response:
        self.looks += 1
        found = self.batches.get(incoming.match_info["id"])
        if found is None:
            return web.json_response({"error": {"message": "unknown"}}, status=404)
        if found["status"] == "in_progress" and not self.holding:
            self._end(found)
        return web.json_response(found)

    def _end(self, batch: dict[str, Any]) -> None:
        count = int(batch["id"].split("-")[1])
        batch["status"] = self.ends(count)
        if batch["status"] == "failed":
            code = "token_limit_exceeded"
            batch["errors"] = {"data": [{"code": code, "message": "too many queued"}]}
            return
        results: dict[str, list[Line]] = {"output_file_id": [], "error_file_id": []}
        for line in reversed(self._lines(batch)):
            made = self.answer(line, count)
            if made is not None:
                fine = made["response"] and made["response"]["status_code"] == 200
                results["output_file_id" if fine else "error_file_id"].append(made)
        for kind, lines in results.items():
            if lines:
                name = f"file-{len(self.files)}"
                self.files[name] = "".join(json.dumps(line) + "\n" for line in lines).encode()
                batch[kind] = name

    async def __aenter__(self) -> "BatchEndpoint":
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._chat)
        if not self.without:
            app.router.add_post("/v1/files", self._upload)
            app.router.add_get("/v1/files/{id}/content", self._content)
            app.router.add_post("/v1/batches", self._create)
            app.router.add_get("/v1/batches", self._list)
            app.router.add_get("/v1/batches/{id}", self._batch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()
