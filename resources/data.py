"""The data folder as a Dagster resource, with locks on partitions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import PrivateAttr

from resources.fields import S3_FIELD, setting
from targen.settings import store_address
from targen.tables.files import Tables
from targen.tables.locks import Lock, lock
from targen.tables.storage import LocalStorage, S3Storage, open_storage

if TYPE_CHECKING:
    from targen.store.completions import Store


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

        If a killed run left files of the task half written, they are completed.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
            StoreError: the data is on S3, and the store, which has the locks, cannot be reached.
        """
        if task in self._locks:
            self._locks[task].check()
            return
        from targen.tables.commits import recover  # noqa: PLC0415 - not when loading

        storage = self.tables().storage
        self._locks[task] = lock(storage, task, run_id, self.store)
        recover(storage, task, self.store)

    def store(self) -> "Store":
        """Open the completion store of this folder; the caller closes it."""
        from targen.store.completions import Store  # noqa: PLC0415 - not when loading

        return Store(store_address(self.store_url, self.data_dir))

    def release(self) -> None:
        """Release all locks of this object."""
        for taken in self._locks.values():
            taken.release()
        self._locks.clear()
