"""The lock on a partition: one run at a time, and none that outlives its process."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import build_init_resource_context

from resources.data import DataFolder
from targen.errors import TableError

HOLDER = """
import sys
from resources.data import DataFolder
folder = DataFolder(data_dir=sys.argv[1])
folder.hold("rte", "run-of-another-process")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Callable[[], DataFolder]]:
    made: list[DataFolder] = []

    def make() -> DataFolder:
        made.append(DataFolder(data_dir=str(tmp_path)))
        return made[-1]

    yield make
    for one in made:
        one.release()


def test_a_second_run_is_told_which_holds_the_partition(folder: Callable[[], DataFolder]) -> None:
    first, second = folder(), folder()
    first.hold("rte", "first-run")
    first.hold("rte", "first-run")
    with pytest.raises(TableError, match="Partition rte is being made by run first-run"):
        second.hold("rte", "second-run")
    with pytest.raises(TableError, match="first-run"):
        second.hold("rte", "second-run")
    second.hold("copa", "second-run")


def test_the_lock_ends_with_the_run(tmp_path: Path, folder: Callable[[], DataFolder]) -> None:
    with folder().yield_for_execution(build_init_resource_context()) as held:
        held.hold("rte", "a-much-longer-name-of-a-run")
    folder().hold("rte", "b")
    assert (tmp_path / ".locks/rte.lock").read_text().startswith("b (process ")


def test_the_lock_dies_with_the_process(tmp_path: Path, folder: Callable[[], DataFolder]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        mine = folder()
        with pytest.raises(TableError, match=rf"run-of-another-process \(process {process.pid}\)"):
            mine.hold("rte", "mine")
        process.kill()
        process.wait(timeout=10)
        mine.hold("rte", "mine")


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(TableError, match="Cannot write in the data folder .*TARGEN_DATA_DIR"):
        DataFolder(data_dir=str(tmp_path / "data")).hold("rte", "run")
