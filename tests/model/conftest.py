"""The server, started once; without TARGEN_TEST_MODEL these tests are left out."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.runs import ModelServer

collect_ignore_glob = [] if os.environ.get("TARGEN_TEST_MODEL") else ["test_*.py"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A running server; it listens on a port of its own and ends with the test."""
    started = ModelServer(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Return a new folder for task files."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder
