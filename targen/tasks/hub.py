"""Data sets of the Hugging Face hub: the extra `datasets`."""

import polars as pl

from targen.errors import TableError
from targen.tasks.sections import HubDataset


def read(source: HubDataset) -> pl.DataFrame:
    """Return the rows of a data set; numbers that stand for class names are these names.

    Raises:
        TableError: the package is missing, or the data set cannot be had.
    """
    try:
        from datasets import ClassLabel, load_dataset  # noqa: PLC0415 - seconds to import
    except ImportError as error:
        raise TableError(
            f"The reference data set {source.dataset} needs a package that is not installed: "
            "pip install 'targen-dagster[datasets]', or name a local file instead."
        ) from error
    try:
        data = load_dataset(
            source.dataset, source.config, split=source.split, revision=source.revision
        )
        frame = pl.DataFrame(data.to_polars())
    # Whatever the package, the network or the data set's own loader raises, the user must hear.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise TableError(
            f"The data set {source.dataset} ({source.config or 'default'}, {source.split}) cannot "
            f"be loaded: {reason[0]}. Check `hf` in the task, or name a local file instead."
        ) from error
    for name, feature in data.features.items():
        if isinstance(feature, ClassLabel):
            names = dict(enumerate(feature.names))
            named = pl.col(name).replace_strict(names, default=None, return_dtype=pl.String)
            frame = frame.with_columns(named)
    return frame
