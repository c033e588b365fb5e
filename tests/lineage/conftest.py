import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from targen.lineage.audit import Auditor
from targen.operators.verify import ROW_CHECKS
from targen.store.completions import Store
from targen.tables.storage import LocalStorage
from tests.support.audited import make, store_url

TASKS = {
    "rte": 8,
    "axg": 6,
    "sentiment-attrprompt": 6,
    "instructions": 12,
    "rte-data-creator": 12,
    "inbox": 6,
    "rte-panel": 8,
    "rte-contrast": 8,  # six of them: the readers disagree on a member of one set
    "stories-hierarchical": 4,
}


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of all kinds of recipes; never changed."""
    folder = tmp_path_factory.mktemp("data")
    for task, rows in TASKS.items():
        asyncio.run(make(folder, task, rows))
    return folder


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "data"))


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Auditor]]:
    """Opens an auditor of a folder; its store is closed after the test."""
    with ExitStack() as stack:

        def make_auditor(folder: Path) -> Auditor:
            store = stack.enter_context(closing(Store(store_url(folder))))
            return Auditor(LocalStorage(str(folder)), ROW_CHECKS, store)

        yield make_auditor
