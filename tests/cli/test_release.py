"""`targen release`: what its commands print, and how they end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.release import registry
from targen.release.inputs import fingerprint
from targen.release.manifest import MANIFEST, Contents, text_of, version_of
from targen.tables.storage import LocalStorage

runner = CliRunner()


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path))
    said = {"task": "rte", "inputs": "x", "splits": {"train": {"rows": 3, "labels": {}}}}
    said["files"] = {"README.md": fingerprint(b"a card")}
    said["version"] = version_of(said)
    files = {"README.md": b"a card", MANIFEST: text_of(said).encode()}
    registry.put(LocalStorage(str(tmp_path)), "rte", Contents(files, said))
    return str(said["version"])


def told(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, ["release", *words])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_release_is_listed_checked_and_withdrawn(tmp_path: Path, version: str) -> None:
    path = str(tmp_path / "releases" / "rte" / version)
    assert told("list") == told("list", "rte") == f"rte {version} 3 rows in {path}, whole\n"
    assert told("list", "boolq") == "no releases found\n"
    assert told("verify", path) == f"rte {version}: 1 files are unchanged\n"
    (Path(path) / "README.md").write_text("another card")
    assert "README.md was changed" in told("verify", path, status=1)
    assert "is withdrawn" in told("withdraw", "rte", version, "--reason", "a wrong card")
    assert told("list") == f"rte {version} 3 rows in {path}, withdrawn: a wrong card\n"
    assert "was withdrawn: a wrong card" in told("verify", path, status=1)
    assert sorted(file.name for file in Path(path).iterdir()) == [MANIFEST, registry.TOMBSTONE]


def test_what_is_no_release(tmp_path: Path, version: str) -> None:
    assert "is not a release" in told("verify", str(tmp_path), status=1)
    assert "rte has no release" in told("withdraw", "rte", "0" * 16, "--reason", "x", status=1)
    assert "reason" in told("withdraw", "rte", version, status=2)
    assert "Use owner/name" in told("push", str(tmp_path), "rows", status=1)
