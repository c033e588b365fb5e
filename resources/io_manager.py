"""The IO manager: one Parquet file per asset and partition.

Here belongs only what Dagster wants to know; files are written and read by `tables`.
"""

from dagster import ConfigurableIOManager, Failure, InputContext, OutputContext
from pydantic import Field

from targen.errors import TargenError
from targen.places import place
from targen.stored import Stored, Tables


class TablesIOManager(ConfigurableIOManager):
    """Keeps each asset's table as `<data folder>/<asset>/<task>.parquet`."""

    data_dir: str = Field(
        default="data", description="A folder, or s3://bucket/prefix. From TARGEN_DATA_DIR."
    )

    @property
    def tables(self) -> Tables:
        """The tables in the data folder."""
        return Tables(place(self.data_dir))

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
