"""The IO manager: one Parquet file per asset and partition."""

from contextlib import closing
from typing import Any

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
from targen.store.table_digests import Written
from targen.tables.files import Stored, Tables, key_of
from targen.tables.storage import LocalStorage, S3Storage, open_storage


class TablesIOManager(ConfigurableIOManager):
    """Keeps each asset's table as `<data folder>/<asset>/<task>.parquet`."""

    data_dir: str = setting("data_dir")
    store_url: str | None = setting("store_url")
    s3: ResourceDependency[Any] = S3_FIELD
    _place: LocalStorage | S3Storage | None = PrivateAttr(default=None)

    @property
    def tables(self) -> Tables:
        """The tables in the data folder."""
        if self._place is None:
            self._place = open_storage(self.data_dir, self.s3 and self.s3.get_client)
        return Tables(self._place)

    def handle_output(self, context: OutputContext, obj: Stored) -> None:
        """Store a step's result, and record what its files are."""
        asset = context.asset_key.path[-1]
        # What has no partitions is the only table in its folder, and named like it.
        task = context.partition_key if context.has_asset_partitions else asset
        try:
            written = self.tables.write(asset, task, obj)
            self._record(task, obj, written, context.run_id)
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None

    def _record(self, task: str, stored: Stored, written: list[Written], run_id: str) -> None:
        """Note the files' digests in the completion store, where audits look for them."""
        # Not at the top: the code location loads faster without the database's library.
        from targen.store import table_digests  # noqa: PLC0415
        from targen.store.completions import Store  # noqa: PLC0415

        upstream = {step: key_of(step, task) for step in stored.made_by.get("upstream", ())}
        with closing(Store(store_address(self.store_url, self.data_dir))) as store:
            table_digests.record(store, written, stored.made_by, run_id, upstream)

    def load_input(self, context: InputContext) -> Stored:
        """Return what the step above stored for the same task."""
        asset, task = context.asset_key.path[-1], context.partition_key
        try:
            return self.tables.read(asset, task)
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None
