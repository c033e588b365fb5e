"""After any fault, a step's files are old or new, and doing it again completes.

All points run in `python -m bench.durability`; here, a sample of them.
"""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from bench import durability, kills, scenarios
from targen import files
from targen.errors import TableError
from targen.lineage.stored_files import read_file
from targen.steps import frame, schema
from targen.store.completions import Store
from targen.tables.changes import locked, replace_together
from targen.tables.commits import INTERRUPTED, journal_key, pending
from targen.tables.files import Stored, Tables
from targen.tables.reviews import stored as verdicts
from targen.tables.storage import LocalStorage

SAMPLE = 4


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory: thousands of small files are slow on a disk."""
    with tempfile.TemporaryDirectory(dir=durability.memory()) as folder:
        yield Path(folder)


def step() -> scenarios.Scenario:
    rows = [{"context_id": letter * 16, "text": letter} for letter in "abc"]
    table = frame(rows, schema("contexts", {}))
    return scenarios.of_step("contexts", scenarios.versions(Stored(table)))


@pytest.mark.parametrize("scenario", [step(), *scenarios.commands()], ids=lambda one: one.name)
def test_after_a_fault_files_are_old_or_new(scenario: scenarios.Scenario, quick: Path) -> None:
    tried = durability.Bench(scenario, quick)
    assert {"create", "fsync file", "fsync folder"} <= set(tried.points) or {
        "store: begin",
        "store: before commit",
    } <= set(tried.points)
    results = [
        tried.fault(kind, number)
        for offset, kind in enumerate(durability.KINDS)
        for number in range(offset, len(tried.points), SAMPLE)
    ]
    assert [one for one in results if not durability.sound(one)] == []
    assert {one.found for one in results} >= {"old", "new"}


def test_without_a_fault_every_step_and_command_is_as_promised(quick: Path) -> None:
    for number, scenario in enumerate(scenarios.scenarios()):
        folder = quick / str(number)
        folder.mkdir()
        for version in (0, 1):
            scenario.act(folder, version)
            audit = durability.audited(folder, scenario.storage(folder))
            assert audit in ("none", "note"), (scenario.name, version)


def test_really_killed_processes_leave_old_or_new_files(quick: Path) -> None:
    rows = [{"context_id": letter * 16, "text": letter} for letter in "abc"]
    stored = scenarios.versions(Stored(frame(rows, schema("contexts", {}))))
    found: list[durability.Result] = []
    with kills.server():
        made = kills.Kills(quick, [("contexts", stored)])
        chosen = {"contexts": 6, "contexts on S3": 4, "release withdraw": 3, "store import": 5}
        for scenario in made.scenarios():
            if every := chosen.get(scenario.name):
                found += made.results(scenario, lambda number, every=every: number % every == 2)
    assert {one.scenario for one in found} == {*chosen}
    assert [one for one in found if not durability.sound(one)] == []
    assert {one.found for one in found} >= {"old", "new"}


KILL = """
import sys
from pathlib import Path
from bench.durability import Faults
from tests.tables.test_faults import step
with Faults("kill", int(sys.argv[2]), hard=True).active():
    step().act(Path(sys.argv[1]), 1)
"""


@pytest.mark.parametrize(
    ("point", "which", "found", "audit"),
    [
        ("write", 0, "old", "none"),
        ("rename", 1, "new", "unknown"),
        ("rename", -1, "new", "unknown"),
    ],
)
def test_a_really_killed_step_is_interrupted_until_the_next_run(
    point: str, which: int, found: str, audit: str, quick: Path
) -> None:
    def killed(folder: Path, faults: durability.Faults) -> None:
        command = [sys.executable, "-c", KILL, folder, str(faults.at)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL

    tried = durability.Bench(step(), quick)
    number = [at for at, name in enumerate(tried.points) if name == point][which]
    result = tried.fault("kill", number, killed)
    assert (result.found, result.audit, result.again) == (found, audit, True)


def test_a_reader_says_what_happened(quick: Path) -> None:
    scenario = step()
    tried = durability.Bench(scenario, quick)
    folder = quick / "now"
    first = tried.points.index("rename")
    # The second rename is that of the first draft; the first is that of the journal.
    tried.fault("kill", tried.points.index("rename", first + 1))
    scenario.act(folder, 0)
    faults = durability.Faults("kill", tried.points.index("rename", first + 1))
    with faults.active(), pytest.raises(durability.Killed):
        scenario.act(folder, 1)
    storage = LocalStorage(str(folder))
    file = read_file(storage, "contexts/rte.parquet", "contexts", "rte")
    assert file.interrupted and file.frame is not None and file.frame.height == 2
    journal = pending(storage, "contexts", "rte")
    assert journal is not None
    # What the journal names is gone: neither the old rows nor a part of the new ones are used.
    storage.discard(journal.drafts)
    with pytest.raises(TableError, match=INTERRUPTED):
        Tables(storage).read("contexts", "rte")
    scenario.act(folder, 1)
    assert scenario.state(folder) == tried.new


def test_files_of_different_runs_are_not_read(quick: Path) -> None:
    scenario = step()
    for version in (0, 1):
        (quick / str(version)).mkdir()
        scenario.act(quick / str(version), version)
    other = quick / "1/rejected/contexts/rte.parquet"
    (quick / "0/rejected/contexts/rte.parquet").replace(other)
    with pytest.raises(TableError, match="are from different runs.*Materialize contexts of rte"):
        Tables(LocalStorage(str(quick / "1"))).read("contexts", "rte")


@pytest.mark.parametrize("text", ["[]", "{", '{"step": "contexts"}', "null"])
def test_a_journal_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.write(journal_key("contexts", "rte"), text.encode())
    with pytest.raises(TableError, match=r"contexts/rte\.json is not what TarGEN wrote"):
        Tables(storage).read("contexts", "rte")
    with locked(storage, "rte", "run", lambda: Store(f"sqlite:///{tmp_path}/s.db")):
        assert storage.keys("") == [".locks/rte.lock"]


def test_a_journal_cannot_name_files_outside_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tmp"
    secret.write_text("mine")
    storage = LocalStorage(str(tmp_path / "data"))
    key = "contexts/rte.parquet"
    for draft in ("../secret.tmp", "contexts/../../secret.tmp", "contexts/../../.secret.tmp"):
        text = f'{{"step": "contexts", "task": "rte", "files": {{"{key}": "x"}}, '
        text += f'"drafts": {{"{key}": "{draft}"}}}}'
        storage.write(journal_key("contexts", "rte"), text.encode())
        with pytest.raises(TableError, match="is not what TarGEN wrote"):
            pending(storage, "contexts", "rte")


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o600, 0o700), (0o002, 0o660, 0o770), (0, 0o660, 0o770)]
)
def test_files_are_private_unless_the_umask_shares_them(
    umask: int, file: int, folder: int, tmp_path: Path
) -> None:
    code = (
        "import os, sys; from pathlib import Path; from targen.files import write_file\n"
        f"os.umask({umask}); write_file(Path(sys.argv[1]), b'x', 'FILE')"
    )
    path = tmp_path / "new" / "file"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert stat.S_IMODE(path.stat().st_mode) == file
    assert stat.S_IMODE(path.parent.stat().st_mode) == folder
    path.chmod(0o644)
    files.write_file(path, b"y", "FILE")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with closing(Store(f"sqlite:///{tmp_path}/store/s.db")):
        assert stat.S_IMODE((tmp_path / "store/s.db").stat().st_mode) == files.file_mode()


def test_planted_links_redirect_no_write(tmp_path: Path) -> None:
    victim, data = tmp_path / "victim", tmp_path / "data"
    victim.mkdir()
    (victim / "file").write_text("mine")
    storage = LocalStorage(str(data))
    for name in ("contexts", ".locks"):
        (data / name).mkdir(parents=True)
    # The target itself, the draft of earlier versions, and a lock.
    (data / "contexts/rte.parquet").symlink_to(victim / "file")
    (data / "contexts/.rte.parquet.tmp").symlink_to(victim / "file")
    (data / ".locks/rte.lock").symlink_to(victim / "file")
    storage.write("contexts/rte.parquet", b"new")
    assert storage.read("contexts/rte.parquet") == b"new"
    with (
        pytest.raises(TableError, match="symbolic link is in the way"),
        locked(storage, "rte", "run", lambda: Store("sqlite://")),
    ):
        pass
    # Folders.
    (data / "labels").symlink_to(victim)
    (data / "export").mkdir()
    (data / "export/rte").symlink_to(victim)
    with pytest.raises(TableError, match="symbolic link is in the way"):
        storage.write("labels/rte.parquet", b"new")
    with pytest.raises(TableError, match="symbolic link is in the way"):
        replace_together(data / "export", "rte", {"rte/train.jsonl": b"new"}, "targen export")
    assert [(one.name, one.read_text()) for one in victim.iterdir()] == [("file", "mine")]


def test_planted_links_and_pipes_redirect_no_read(tmp_path: Path) -> None:
    victim, data = tmp_path / "victim", tmp_path / "data"
    (victim / "a").mkdir(parents=True)
    (victim / "secret.html").write_text("secret")
    storage = LocalStorage(str(data))
    storage.write("quality_report/rte.html", b"mine")
    (data / "quality_report/link.html").symlink_to(victim / "secret.html")
    (data / "comparison").symlink_to(victim)
    os.mkfifo(data / "quality_report/pipe.html")
    for key in ("quality_report/link.html", "comparison/secret.html"):
        with pytest.raises(TableError, match="symbolic link is in the way"):
            storage.read(key)
    with pytest.raises(TableError, match="pipe, socket or device"):
        storage.read("quality_report/pipe.html")
    with pytest.raises(TableError, match="not the path of a file"):
        storage.read("../victim/secret.html")
    assert storage.read("quality_report/rte.html") == b"mine"
    assert storage.read("labels/rte.parquet") is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ENOSPC", "The disk is full: free some space, or name another TARGEN_DATA_DIR"),
        ("EDQUOT", "quota is used up"),
        ("EROFS", "read-only: make it writable"),
        ("EIO", "disk reports an error"),
        ("EMFILE", "ulimit -n"),
        ("EACCES", "Give this user permission"),
        ("ENAMETOOLONG", "Check the path, or name another"),
    ],
)
def test_advice_follows_the_cause(code: str, words: str) -> None:
    import errno

    number = getattr(errno, code)
    error = files.cannot("write", "x", OSError(number, os.strerror(number)), "TARGEN_DATA_DIR")
    assert os.strerror(number) in str(error) and words in str(error)


IMPORT = """
import sys, polars as pl
from pathlib import Path
from targen.store.completions import Store
from targen.tables import reviews
from targen.tables.changes import locked, replace_together
from targen.tables.storage import LocalStorage
folder, me, how = sys.argv[1:]
storage = LocalStorage(folder)
for n in range(10):
    if how == "export":
        made = {f"rte/{name}.jsonl": f"{me} {n}".encode() for name in ("train", "test")}
        replace_together(Path(folder), "rte", made, "targen export")
        continue
    row = dict.fromkeys(reviews.COLUMNS)
    row |= {"instance_id": f"{me}{n}", "content": "c", "right": True}
    with locked(storage, "rte", "import", lambda: Store(f"sqlite:///{folder}/s.db"), 60.0):
        reviews.keep(storage, "rte", pl.DataFrame([row], schema=dict(reviews.COLUMNS)))
"""


@pytest.mark.parametrize("how", ["import", "export"])
def test_two_at_once_lose_nothing(how: str, quick: Path) -> None:
    started = [subprocess.Popen([sys.executable, "-c", IMPORT, quick, name, how]) for name in "ab"]
    assert [process.wait(60) for process in started] == [0, 0]
    if how == "export":
        found = {(quick / f"rte/{name}.jsonl").read_text() for name in ("train", "test")}
        assert len(found) == 1
        return
    kept = verdicts(LocalStorage(str(quick)), "rte")
    assert isinstance(kept, pl.DataFrame) and kept.height == 20
