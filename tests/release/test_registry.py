"""Releases where they lie: immutable, checked byte by byte, withdrawn with a tombstone."""

import json
from pathlib import Path

import pytest

from targen.errors import ReleaseError, TableError
from targen.release import registry
from targen.release.manifest import MANIFEST, Contents, text_of, version_of
from targen.tables.storage import LocalStorage, Storage, open_storage
from tests.tables.test_storage import bucket

__all__ = ["bucket"]


@pytest.fixture(params=["folder", "s3"])
def at(request: pytest.FixtureRequest, tmp_path: Path, bucket: dict[str, bytes]) -> Storage:
    return open_storage("s3://mine/data" if request.param == "s3" else str(tmp_path / "shelf"))


@pytest.fixture
def made(ready) -> Contents:
    return ready("rte").release


def test_a_release_is_put_down_once_and_then_compared(at: Storage, made: Contents) -> None:
    assert registry.put(at, "rte", made) is True
    key = registry.folder("rte", made.version)
    assert {k.removeprefix(f"{key}/") for k in at.keys(key)} == set(made.files)
    assert registry.verify(at, key)["version"] == made.version
    assert registry.put(at, "rte", made) is False


@pytest.mark.parametrize("path", ["README.md", "data/train.parquet", "superglue/RTE/val.jsonl"])
def test_one_flipped_byte_is_found_and_named(at: Storage, made: Contents, path: str) -> None:
    registry.put(at, "rte", made)
    key = f"{registry.folder('rte', made.version)}/{path}"
    content = bytearray(at.read(key) or b"")
    content[len(content) // 2] ^= 1
    at.write(key, bytes(content))
    with pytest.raises(ReleaseError, match=f"is damaged: {path} was changed"):
        registry.verify(at, registry.folder("rte", made.version))
    with pytest.raises(ReleaseError, match=f"changed after it was made: {path} differs"):
        registry.put(at, "rte", made)
    assert at.read(key) == bytes(content)


def test_missing_and_foreign_files_are_named(at: Storage, made: Contents) -> None:
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    at.delete(f"{key}/README.md")
    at.write(f"{key}/data/extra.parquet", b"")
    at.write(f"{key}/.gitattributes", b"")
    for call in (lambda: registry.verify(at, key), lambda: registry.put(at, "rte", made)):
        with pytest.raises(
            ReleaseError, match=r"README.md is missing; data/extra.parquet is not part of it\."
        ):
            call()


@pytest.mark.parametrize("said", ["[]", "{", '{"version": "x"}', '{"files": 1, "version": null}'])
def test_a_manifest_that_is_none(at: Storage, made: Contents, said: str) -> None:
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    at.write(f"{key}/{MANIFEST}", said.encode())
    with pytest.raises(ReleaseError, match="manifest.json was changed"):
        registry.verify(at, key)
    assert [entry.state for entry in registry.listed(at)] == ["incomplete"]


def test_a_manifest_made_to_fit_other_files_has_another_version(
    at: Storage, made: Contents
) -> None:
    forged = {**made.manifest, "license": "mit"}
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    at.write(f"{key}/{MANIFEST}", text_of(forged).encode())
    with pytest.raises(ReleaseError, match="manifest.json was changed"):
        registry.verify(at, key)
    forged["version"] = version_of(forged)
    at.write(f"{key}/{MANIFEST}", text_of(forged).encode())
    with pytest.raises(
        ReleaseError, match=f"it is version {forged['version']} in the folder of another"
    ):
        registry.verify(at, key)


@pytest.mark.parametrize("change", [b"\n", b" ", b"-1"])
def test_no_byte_of_a_manifest_can_be_changed(at: Storage, made: Contents, change: bytes) -> None:
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    said = at.read(f"{key}/{MANIFEST}") or b""
    # The same content in other bytes; a key that occurs twice has the second value.
    other = b'{"files": {},' + said[1:] if change == b"-1" else said + change
    assert json.loads(other) == json.loads(said)
    at.write(f"{key}/{MANIFEST}", other)
    with pytest.raises(ReleaseError, match="manifest.json was changed"):
        registry.verify(at, key)


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "a/../../b", ".hidden", "a//b"])
def test_a_manifest_cannot_name_files_outside_its_folder(at: Storage, path: str) -> None:
    said = {"files": {path: {"sha256": "", "size": 0}}}
    said["version"] = version_of(said)
    at.write(f"{MANIFEST}", text_of(said).encode())
    with pytest.raises(ReleaseError, match="cannot be trusted"):
        registry.verify(at)


def test_what_a_killed_run_left_is_made_whole(at: Storage, made: Contents) -> None:
    key = registry.folder("rte", made.version)
    at.write(f"{key}/data/train.parquet", b"half")
    at.write(f"{key}/stale.txt", b"")
    assert [entry.state for entry in registry.listed(at, "rte")] == ["incomplete"]
    with pytest.raises(ReleaseError, match="it is incomplete: it has no manifest"):
        registry.verify(at, key)
    assert registry.put(at, "rte", made) is True
    registry.verify(at, key)


def test_a_failed_write_leaves_no_release(made: Contents, tmp_path: Path, monkeypatch) -> None:
    at = LocalStorage(str(tmp_path))
    write, count = LocalStorage.write, 0

    def fail(self: LocalStorage, key: str, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise TableError("no room")
        write(self, key, content)

    monkeypatch.setattr(LocalStorage, "write", fail)
    with pytest.raises(TableError, match="no room"):
        registry.put(at, "rte", made)
    assert registry.listed(at) == [] and not list(tmp_path.rglob("*.parquet"))


def test_withdrawing_leaves_a_tombstone_and_nothing_makes_it_again(
    at: Storage, made: Contents
) -> None:
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    registry.withdraw(at, "rte", made.version, "names of\nreal people")
    assert at.keys(key) == [f"{key}/{MANIFEST}", f"{key}/{registry.TOMBSTONE}"]
    (entry,) = registry.listed(at, "rte")
    assert (entry.state, entry.reason, entry.rows) == ("withdrawn", "names of real people", 24)
    with pytest.raises(ReleaseError, match="was withdrawn: names of real people"):
        registry.verify(at, key)
    with pytest.raises(ReleaseError, match=f"{made.version} .*move .*{key} away first"):
        registry.put(at, "rte", made)
    # Another release of Polars writes other bytes of the same rows.
    other = {**made.manifest, "written_by": "polars 99"}
    other["version"] = version_of(other)
    files = {**made.files, MANIFEST: json.dumps(other).encode()}
    with pytest.raises(ReleaseError, match="these rows were withdrawn as version"):
        registry.put(at, "rte", Contents(files, other))
    at.delete(f"{key}/{registry.TOMBSTONE}")
    at.delete(f"{key}/{MANIFEST}")
    assert registry.put(at, "rte", made) is True


def test_withdrawing_again_ends_what_was_begun(at: Storage, made: Contents) -> None:
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    registry.withdraw(at, "rte", made.version, "why")
    at.write(f"{key}/README.md", b"left over")
    registry.withdraw(at, "rte", made.version, "why")
    assert len(at.keys(key)) == 2
    with pytest.raises(ReleaseError, match="already withdrawn: why"):
        registry.withdraw(at, "rte", made.version, "another reason")


@pytest.mark.parametrize(
    ("task", "version", "reason", "message"),
    [
        ("rte", "0" * 16, "why", "rte has no release 0000000000000000"),
        ("rte", "../../..", "why", "is not a task and a version"),
        ("../x", "0" * 16, "why", "is not a task and a version"),
        ("rte", "0" * 16, "  ", "Give a --reason"),
        ("rte", "0" * 16, "x" * 3000, "at most 2000 characters"),
    ],
)
def test_what_cannot_be_withdrawn(
    at: Storage, task: str, version: str, reason: str, message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        registry.withdraw(at, task, version, reason)


def test_only_releases_are_listed(at: Storage, made: Contents) -> None:
    registry.put(at, "rte", made)
    at.write("releases/rte/notes.txt", b"")
    at.write("releases/rte/not-a-version/manifest.json", b"{}")
    assert [(entry.task, entry.version) for entry in registry.listed(at)] == [("rte", made.version)]
    assert registry.listed(at, "boolq") == []
    with pytest.raises(ReleaseError, match="not a task name"):
        registry.listed(at, "..")


def test_the_contract_holds_and_tells_what_does_not(ready, made: Contents, tmp_path: Path) -> None:
    spec = ready("rte").spec
    at = LocalStorage(str(tmp_path))
    registry.put(at, "rte", made)
    key = registry.folder("rte", made.version)
    assert registry.violations(at, key, spec) == []
    # A release that was wrong from the start: its own manifest fits it.
    train = made.files["data/train.parquet"]
    wrong = {**made.files, "data/test.parquet": train}
    said = {**made.manifest, "files": {**made.manifest["files"]}}
    said["files"]["data/test.parquet"] = said["files"]["data/train.parquet"]
    said["version"] = version_of(said)
    wrong[MANIFEST] = text_of(said).encode()
    registry.put(at, "rte", Contents(wrong, said))
    found = registry.violations(at, registry.folder("rte", said["version"]), spec)
    assert "rows occur more than once" in " ".join(found)
    assert "the manifest says" in found[0]
    assert "provenance.parquet does not cover the same rows" in " ".join(found)
    assert "in several splits" in found[-1]
    at.write(f"{key}/README.md", b"")
    (only,) = registry.violations(at, key, spec)
    assert "README.md was changed" in only
