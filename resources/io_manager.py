"""The IO manager: one Parquet file per asset and partition.

Here belongs only what Dagster wants to know; files are written and read by `tables`.
"""

from typing import Any

from dagster import (
    ConfigurableIOManager,
    Failure,
    InputContext,
    OutputContext,
    ResourceDependency,
)
from pydantic import Field, PrivateAttr

from resources.data import S3_FIELD
from targen.errors import TargenError
from targen.places import LocalPlace, S3Place, place
from targen.stored import Stored, Tables


class TablesIOManager(ConfigurableIOManager):
    """Keeps each asset's table as `<data folder>/<asset>/<task>.parquet`."""

    data_dir: str = Field(
        default="data", description="A folder, or s3://bucket/prefix. From TARGEN_DATA_DIR."
    )
    s3: ResourceDependency[Any] = S3_FIELD
    _place: LocalPlace | S3Place | None = PrivateAttr(default=None)

    @property
    def tables(self) -> Tables:
        """The tables in the data folder."""
        if self._place is None:
            self._place = place(self.data_dir, self.s3 and self.s3.get_client)
        return Tables(self._place)

    def handle_output(self, context: OutputContext, obj: Stored) -> None:
        """Store a step's result."""
        asset = context.asset_key.path[-1]
        # What has no partitions is the only table in its folder, and named like it.
        task = context.partition_key if context.has_asset_partitions else asset
        try:
            self.tables.write(asset, task, obj)
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None

    def load_input(self, context: InputContext) -> Stored:
        """Return what the step above stored for the same task."""
        asset, task = context.asset_key.path[-1], context.partition_key
        try:
            return self.tables.read(asset, task)
        except TargenError as error:
            raise Failure(description=str(error), allow_retries=False) from None
