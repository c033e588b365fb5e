"""Which requests the tables of a data folder descend from.

Here belongs reading their ids, from whatever lies there. What is done with what nothing descends
from belongs to `targen.store.maintenance`.
"""

import re
from io import BytesIO

import polars as pl

from targen.errors import TableError
from targen.steps import DAMAGED
from targen.tables.storage import Storage

_COLUMNS = ("request_id", "request_ids")
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RELEASES = "releases/"
_HIDDEN = re.compile(r"(^|/)\.")


def request_ids(place: Storage) -> set[str]:
    """Return every request that a table, a rejected item or a release names.

    What lies under `releases/` is searched for ids whatever its form, so that nothing that was
    given out loses its origin.

    Raises:
        TableError: a table cannot be read. Then nobody knows what descends from it.
    """
    found: set[str] = set()
    for key in place.keys(""):
        if _HIDDEN.search(key):
            continue
        if key.endswith(".parquet"):
            found |= _named(place, key)
        elif key.startswith(_RELEASES):
            found |= {name.decode() for name in _ID.findall(place.read(key) or b"")}
    return found


def tasks(place: Storage) -> set[str]:
    """Return the tasks that have a table; releases do not count."""
    current = (key for key in place.keys("") if not key.startswith((_RELEASES, ".")))
    return {key.rsplit("/", 1)[-1].split(".")[0] for key in current if key.endswith(".parquet")}


def _named(place: Storage, key: str) -> set[str]:
    content = place.read(key)
    if content is None:
        return set()
    found: set[str] = set()
    try:
        schema = pl.read_parquet_schema(BytesIO(content))
        columns = [name for name in _COLUMNS if name in schema]
        frame = pl.read_parquet(BytesIO(content), columns=columns) if columns else pl.DataFrame()
        for name in columns:
            flat = frame[name].explode() if isinstance(schema[name], pl.List) else frame[name]
            found |= set(flat.drop_nulls().cast(pl.String).to_list())
    except DAMAGED as error:
        raise TableError(
            f"{place.address(key)} is not a readable Parquet file, so nobody knows which completions "
            "it descends from. Materialise it again or remove it."
        ) from error
    return found
