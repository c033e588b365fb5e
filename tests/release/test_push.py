"""Pushing: exactly the release's files go to the hub, in one commit; errors are one sentence."""

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from targen.errors import ReleaseError
from targen.release import registry
from targen.release.manifest import Contents
from targen.release.push import push
from targen.tables.storage import LocalStorage

SECRET = "hf_a_very_secret_token"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a commit of small files takes."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]]
    refuse: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, self.headers.get("Authorization", ""), body))
        if self.refuse:
            self._answer(403, {"error": f"no right to write with {SECRET}"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self._answer(200, {"files": modes})
        elif "/commit/" in self.path:
            url = f"http://{self.headers['Host']}/datasets/me/rows/commit/abc"
            self._answer(200, {"commitOid": "a" * 40, "commitUrl": url, "success": True})
        elif "validate-yaml" in self.path:
            self._answer(200, {"errors": [], "warnings": []})
        else:
            self._answer(200, {"url": f"http://{self.headers['Host']}/datasets/me/rows"})

    def _answer(self, status: int, said: dict) -> None:
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    # The package loads its modules only when they are asked for, so this one is named in full.
    constants = pytest.importorskip(
        "huggingface_hub.constants", reason="the extra huggingface is not installed"
    )
    # Read when it is first imported, perhaps by a test that wants no network.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    handler = type("Handler", (Hub,), {"seen": [], "refuse": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def released(ready, tmp_path: Path) -> tuple[LocalStorage, Contents]:
    made = ready("rte").release
    at = LocalStorage(str(tmp_path))
    registry.put(at, "rte", made)
    return LocalStorage(str(tmp_path / registry.folder("rte", made.version))), made


def test_exactly_the_files_are_sent_in_one_commit(hub: type[Hub], released) -> None:
    at, made = released
    at.write(".gitattributes", b"not ours")
    assert push(at, "me/rows", private=True).endswith("/commit/abc")
    created = json.loads(next(body for path, _, body in hub.seen if path == "/api/repos/create"))
    assert (created["name"], created["organization"], created["type"]) == ("rows", "me", "dataset")
    assert created.get("private", created.get("visibility")) in (True, "private")
    (commit,) = [body for path, _, body in hub.seen if "/commit/main" in path]
    head, *files = [json.loads(line) for line in commit.splitlines()]
    assert head["value"]["summary"] == f"rte {made.version}"
    sent = {f["value"]["path"]: base64.b64decode(f["value"]["content"]) for f in files}
    assert sent == dict(made.files)
    (tag,) = [body for path, _, body in hub.seen if "/tag/" in path]
    assert json.loads(tag)["tag"] == made.version
    assert {token for _, token, _ in hub.seen} == {f"Bearer {SECRET}"}


def test_a_refusal_is_one_sentence_without_the_token(hub: type[Hub], released) -> None:
    hub.refuse = True
    with pytest.raises(ReleaseError, match="me/rows rejected the release") as caught:
        push(released[0], "me/rows")
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)
    assert not any("/commit/" in path for path, *_ in hub.seen)


def test_a_damaged_release_is_not_sent(hub: type[Hub], released) -> None:
    released[0].write("README.md", b"other")
    with pytest.raises(ReleaseError, match="README.md was changed"):
        push(released[0], "me/rows")
    assert hub.seen == []


def test_what_is_missing_is_told(released, monkeypatch: pytest.MonkeyPatch) -> None:
    at, _ = released
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ReleaseError, match="Use owner/name"):
        push(at, "rows")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ReleaseError, match=r"pip install huggingface-hub"):
        push(at, "me/rows")
    monkeypatch.undo()
    monkeypatch.delenv("HF_TOKEN", raising=False)
    pytest.importorskip("huggingface_hub", reason="the extra huggingface is not installed")
    with pytest.raises(ReleaseError, match="Set HF_TOKEN"):
        push(at, "me/rows")


def test_a_hub_that_cannot_be_reached_is_one_error(
    hub: type[Hub], released: tuple[LocalStorage, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ReleaseError, match="could not be pushed to the hub at http://127") as error:
        push(released[0], "me/rows")
    assert "Check the network" in str(error.value) and "\n" not in str(error.value)
    assert SECRET not in str(error.value)
