"""Places: a folder, an S3 prefix (against a small server of our own), and nothing else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest

from targen.errors import TableError
from targen.files import drafted, write_file
from targen.tables.storage import LocalStorage, S3Storage, open_storage

NOT_FOUND = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class Bucket(BaseHTTPRequestHandler):
    """The verbs of S3 that we use; a bucket named `locked` refuses all of them."""

    objects: dict[str, bytes]
    # With an older protocol every put waits a second for leave to go on.
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        key = self.path.partition("?")[0]
        query = parse_qs(self.path.partition("?")[2])
        if key.startswith("/locked"):
            self._answer(403, DENIED)
        elif "list-type" in query:
            self._list(f"{key}/", query["prefix"][0], query.get("continuation-token", [""])[0])
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

    def _list(self, bucket: str, prefix: str, after: str) -> None:
        """Answer with two keys at a time, so that a listing has pages."""
        keys = [key.removeprefix(bucket) for key in sorted(self.objects) if key.startswith(bucket)]
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        more = len(keys) > 2
        entries = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys[:2])
        token = f"<NextContinuationToken>{keys[1]}</NextContinuationToken>" if more else ""
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        body = f"<ListBucketResult>{truncated}{entries}{token}</ListBucketResult>"
        self._answer(200, body.encode())

    def do_DELETE(self) -> None:
        key = self.path.partition("?")[0]
        if key.startswith("/locked/"):
            self._answer(403, DENIED)
        else:
            self.objects.pop(key, None)
            self._answer(204, b"")

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
    s3 = open_storage("s3://mine/some/prefix/")
    assert isinstance(s3, S3Storage)
    assert s3.read("contexts/rte.parquet") is None
    s3.write("contexts/rte.parquet", b"\x00bytes\xff")
    assert s3.read("contexts/rte.parquet") == b"\x00bytes\xff"
    assert bucket == {"/mine/some/prefix/contexts/rte.parquet": b"\x00bytes\xff"}
    assert s3.address("contexts/rte.parquet") == "s3://mine/some/prefix/contexts/rte.parquet"


def test_s3_that_refuses_is_one_error(bucket: dict[str, bytes]) -> None:
    s3 = open_storage("s3://locked")
    with pytest.raises(TableError, match=r"Cannot write s3://locked/a\.parquet.*Access Denied"):
        s3.write("a.parquet", b"")
    with pytest.raises(TableError, match="Cannot read"):
        s3.read("a.parquet")
    assert bucket == {}


def test_a_folder_by_default() -> None:
    assert isinstance(open_storage("data"), LocalStorage)


@pytest.mark.parametrize("data_dir", ["gs://bucket/x", "s3://", "http://x/y"])
def test_other_urls_are_refused(data_dir: str) -> None:
    with pytest.raises(TableError, match="s3://bucket/prefix"):
        open_storage(data_dir)


def places_under_test(kind: str, folder: Path) -> LocalStorage | S3Storage:
    return open_storage("s3://mine/some/prefix" if kind == "s3" else str(folder / "data"))


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_folder_is_written_listed_and_emptied(
    kind: str, tmp_path: Path, bucket: dict[str, bytes]
) -> None:
    at = places_under_test(kind, tmp_path)
    assert at.keys("made/one") == []
    files = {"data/a.txt": b"a", "data/b.txt": b"b", "last.json": b"{}"}
    at.write("made/other.txt", b"another")
    at.write_folder("made/one", files)
    assert at.keys("made/one") == [f"made/one/{name}" for name in files]
    assert len(at.keys("made")) == 4
    assert [at.read(f"made/one/{name}") for name in files] == list(files.values())
    for name in files:
        at.delete(f"made/one/{name}")
    at.delete("made/one/never.txt")
    assert at.keys("made") == ["made/other.txt"]
    if isinstance(at, LocalStorage):
        assert [path.name for path in (at.root / "made").iterdir()] == ["other.txt"]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_folder_that_stands_is_not_replaced(
    kind: str, tmp_path: Path, bucket: dict[str, bytes]
) -> None:
    at = places_under_test(kind, tmp_path)
    at.write_folder("made", {"a": b"old", "last": b""})
    with pytest.raises(TableError, match=r"made"):
        at.write_folder("made", {"a": b"new", "last": b""})
    assert at.read("made/a") == b"old"
    assert at.keys("") == ["made/a", "made/last"]


def test_what_a_killed_run_left_of_a_folder_is_no_part_of_it(tmp_path: Path) -> None:
    left = tmp_path / ".made.tmp" / "stale.txt"
    left.parent.mkdir()
    left.write_bytes(b"half")
    at = LocalStorage(str(tmp_path))
    assert at.keys("") == []
    at.write_folder("made", {"a": b"1"})
    assert at.keys("") == ["made/a"] and not left.exists()


def test_a_place_that_refuses_says_so_for_each_verb(bucket: dict[str, bytes]) -> None:
    s3 = open_storage("s3://locked")
    with pytest.raises(TableError, match="Cannot read s3://locked/x.*Access Denied"):
        s3.keys("x")
    with pytest.raises(TableError, match="Cannot delete s3://locked/x.*Access Denied"):
        s3.delete("x")


@pytest.mark.parametrize("name", ["a file/below", ".", "folder"])
def test_what_cannot_be_written_is_told_by_the_name_the_user_gave_it(
    name: str, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(TableError, match=r"Cannot write .*name another --output\.$"):
        write_file(Path(name), b"new", "--output")


def test_a_file_that_fails_half_way_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "made" / "backup"
    write_file(path, b"old", "FILE")
    with pytest.raises(ValueError), drafted(path, "FILE") as draft:
        draft.write(b"half")
        raise ValueError
    assert [(one.name, one.read_bytes()) for one in path.parent.iterdir()] == [("backup", b"old")]
