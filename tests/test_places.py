"""Places: a folder, an S3 prefix (against a small server of our own), and nothing else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from targen.errors import TableError
from targen.places import LocalPlace, S3Place, place

NOT_FOUND = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Bucket(BaseHTTPRequestHandler):
    """The two verbs of S3 that we use; a bucket named `locked` refuses both."""

    objects: dict[str, bytes]

    def do_GET(self) -> None:
        key = self.path.partition("?")[0]
        if key.startswith("/locked/"):
            self._answer(403, DENIED)
        elif key in self.objects:
            self._answer(200, self.objects[key])
        else:
            self._answer(404, NOT_FOUND)

    def do_PUT(self) -> None:
        key = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if key.startswith("/locked/"):
            self._answer(403, DENIED)
        else:
            self.objects[key] = body
            self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    objects: dict[str, bytes] = {}
    handler = type("Handler", (Bucket,), {"objects": objects})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield objects
    server.shutdown()
    server.server_close()


def test_s3_keeps_bytes_under_its_prefix(bucket: dict[str, bytes]) -> None:
    s3 = place("s3://mine/some/prefix/")
    assert isinstance(s3, S3Place)
    assert s3.read("contexts/rte.parquet") is None
    s3.write("contexts/rte.parquet", b"\x00bytes\xff")
    assert s3.read("contexts/rte.parquet") == b"\x00bytes\xff"
    assert bucket == {"/mine/some/prefix/contexts/rte.parquet": b"\x00bytes\xff"}
    assert s3.address("contexts/rte.parquet") == "s3://mine/some/prefix/contexts/rte.parquet"


def test_s3_that_refuses_is_one_error(bucket: dict[str, bytes]) -> None:
    s3 = place("s3://locked")
    with pytest.raises(TableError, match=r"Cannot write s3://locked/a\.parquet.*Access Denied"):
        s3.write("a.parquet", b"")
    with pytest.raises(TableError, match="Cannot read"):
        s3.read("a.parquet")
    assert bucket == {}


def test_a_folder_by_default() -> None:
    assert isinstance(place("data"), LocalPlace)


@pytest.mark.parametrize("data_dir", ["gs://bucket/x", "s3://", "http://x/y"])
def test_other_urls_are_refused(data_dir: str) -> None:
    with pytest.raises(TableError, match="s3://bucket/prefix"):
        place(data_dir)


def test_the_locks_of_different_buckets_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/home-of-dagster")
    folders = {place(url).lock_folder for url in ("s3://a/x", "s3://a/x/", "s3://a/y", "s3://b/x")}
    assert len(folders) == 3
