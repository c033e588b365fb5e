"""What the digests of tables are recorded of; without SQLAlchemy, which is slow to import."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Written:
    """A file that was just written.

    Attributes:
        key: path in the data folder.
        sha256: of its bytes.
        frame: its rows, None for a page.
        data_version: of the step's result, None for a page.
    """

    key: str
    sha256: str
    frame: pl.DataFrame | None
    data_version: str | None
