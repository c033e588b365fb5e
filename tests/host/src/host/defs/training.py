"""Assets of the project that use TarGEN's."""

from pathlib import Path

import dagster as dg
import polars as pl

TICKETS = dg.StaticPartitionsDefinition(["tickets"])


@dg.asset(
    partitions_def=TICKETS,
    ins={"rows": dg.AssetIn(["tickets", "corrected_set"])},
    io_manager_key="io_manager",
)
def training_rows(rows: pl.DataFrame) -> dg.MaterializeResult[int]:
    """Rows of the finished set that are ready for training."""
    return dg.MaterializeResult(value=rows.height, metadata={"labels": rows["label"].to_list()})


@dg.asset(deps=[dg.AssetKey(["tickets", "release"])])
def released_rows(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Rows of the newest release."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey(["tickets", "release"]))
    assert event is not None and event.asset_materialization is not None
    folder = Path(str(event.asset_materialization.metadata["path"].value))
    rows = pl.concat(pl.read_parquet(file) for file in sorted(folder.glob("data/*.parquet")))
    return dg.MaterializeResult(metadata={"rows": rows.height})
