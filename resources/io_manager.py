"""The IO manager: one Parquet file per asset and partition."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import polars as pl
from dagster import (
    ConfigurableIOManager,
    Failure,
    InputContext,
    OutputContext,
    ResourceDependency,
)
from pydantic import PrivateAttr

from resources.fields import S3_FIELD, setting
from targen.errors import TargenError
from targen.settings import store_address
from targen.store.written import Written
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage, S3Storage, open_storage


class TablesIOManager(ConfigurableIOManager):
    """Stores each asset's table as `<data folder>/<asset>/<task>.parquet`."""

    data_dir: str = setting("data_dir")
    store_url: str | None = setting("store_url")
    s3: ResourceDependency[Any] = S3_FIELD
    _storage: LocalStorage | S3Storage | None = PrivateAttr(default=None)

    @property
    def tables(self) -> Tables:
        """The tables in the data folder."""
        if self._storage is None:
            self._storage = open_storage(self.data_dir, self.s3 and self.s3.get_client)
        return Tables(self._storage)

    def handle_output(self, context: OutputContext, obj: Stored) -> None:
        """Store a step's result and record the digests of its files."""
        asset = context.asset_key.path[-1]
        # An unpartitioned asset has one table, named after the asset.
        task = context.partition_key if context.has_asset_partitions else asset
        try:
            self.tables.write(
                asset,
                task,
                obj,
                lambda written: self._record(task, obj, written, context.run_id),
                context.run_id,
            )
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None

    def _record(self, task: str, stored: Stored, written: Sequence[Written], run_id: str) -> None:
        """Record the files' digests in the completion store, for audits."""
        # Imported here, because SQLAlchemy slows down loading the code location.
        from targen.store import table_digests  # noqa: PLC0415
        from targen.store.completions import Store  # noqa: PLC0415

        with closing(Store(store_address(self.store_url, self.data_dir))) as store:
            table_digests.record(store, written, stored.made_by, run_id, stored.upstream_keys(task))

    def load_input(self, context: InputContext) -> Any:
        """Return an upstream table of the same task; with several partitions, task -> table.

        An argument of the type `polars.DataFrame` gets the rows only.
        """
        asset = context.asset_key.path[-1]
        rows_only = context.dagster_type.typing_type is pl.DataFrame
        found: dict[str, Any] = {}
        try:
            for task in context.asset_partition_keys:
                stored = self.tables.read(asset, task)
                found[task] = stored.table if rows_only else stored
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None
        return found[next(iter(found))] if len(found) == 1 else found
