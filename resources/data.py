"""The data folder as a Dagster resource, with locks on partitions."""

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
    """The folder or S3 prefix of tables and reports."""

    data_dir: str = setting("data_dir")
    store_url: str | None = setting("store_url")
    s3: ResourceDependency[Any] = S3_FIELD
    _locks: dict[str, Lock] = PrivateAttr(default_factory=dict)
    _storage: LocalStorage | S3Storage | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["DataFolder"]:
        """Release all locks when the run ends."""
        try:
            yield self
        finally:
            self.release()

    def tables(self) -> Tables:
        """Return the tables in this folder."""
        # Created once: an S3 client is slow to create and keeps its connections.
        if self._storage is None:
            self._storage = open_storage(self.data_dir, self.s3 and self.s3.get_client)
        return Tables(self._storage)

    def hold(self, task: str, run_id: str) -> None:
        """Lock the task's partition until this run, or its process, ends.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
            StoreError: the data is on S3, and the store, which has the locks, cannot be reached.
        """
        if task in self._locks:
            self._locks[task].check()
            return
        storage = self.tables().storage
        if isinstance(storage, LocalStorage):
            path = storage.root / ".locks" / f"{task}.lock"
            self._locks[task] = FileLock(path, task, run_id, self.data_dir)
            return
        from targen.store.completions import Store  # noqa: PLC0415 - not when loading

        store = Store(store_address(self.store_url, self.data_dir))
        self._locks[task] = StoreLease(store, storage.address(""), task, run_id)

    def release(self) -> None:
        """Release all locks of this object."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()
