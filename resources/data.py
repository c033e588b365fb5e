"""The data folder as a Dagster resource, and the lock that one run holds on a partition."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import PrivateAttr

from resources.fields import S3_FIELD, setting
from resources.locks import FileLock, Lock, StoreLease
from targen.settings import store_address
from targen.tables.files import Tables
from targen.tables.storage import LocalStorage, S3Storage, open_storage


class DataFolder(ConfigurableResource[Any]):
    """Where tables and reports go."""

    data_dir: str = setting("data_dir")
    store_url: str | None = setting("store_url")
    s3: ResourceDependency[Any] = S3_FIELD
    _held: dict[str, Lock] = PrivateAttr(default_factory=dict)
    _place: LocalStorage | S3Storage | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["DataFolder"]:
        """Give back, when the run ends, what it held."""
        try:
            yield self
        finally:
            self.release()

    def tables(self) -> Tables:
        """Return the tables in this folder."""
        # A client of S3 takes a while to make, and keeps its connections.
        if self._place is None:
            self._place = open_storage(self.data_dir, self.s3 and self.s3.get_client)
        return Tables(self._place)

    def hold(self, task: str, run_id: str) -> None:
        """Keep every other run off the task's partition until this run, or its process, ends.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
            StoreError: the lock is in the store, and that cannot be reached.
        """
        if task in self._held:
            self._held[task].check()
            return
        at = self.tables().storage
        if isinstance(at, LocalStorage):
            path = at.root / ".locks" / f"{task}.lock"
            self._held[task] = FileLock(path, task, run_id, self.data_dir)
            return
        from targen.store.completions import Store  # noqa: PLC0415 - not when loading

        store = Store(store_address(self.store_url, self.data_dir))
        self._held[task] = StoreLease(store, at.address(""), task, run_id)

    def release(self) -> None:
        """Give every partition free that is held through this object."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()
