"""Settings of the whole test suite."""

import os
from collections.abc import Iterator

import hypothesis
import pytest

from targen import redaction
from tests.llm.conftest import prices, settings

__all__ = ["prices", "settings"]

# Examples are drawn from the test's own source, and a slow machine is no failure.
hypothesis.settings.register_profile("targen", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("targen")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Commands set variables for the rest of their process, which here goes on to other tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers its secrets, and would hide them in the texts of the next test."""
    monkeypatch.setattr(redaction, "_KNOWN", {})


LONG = ("test_foreign_endpoint.py", "deploy", "browser", "dagster_project", "resources", "quality")
"""Files and folders whose tests start processes, or reckon long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not any(part in LONG for part in item.path.parts))
