"""The completion store: opening and reading."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa
import zstandard
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from targen import files
from targen.errors import StoreError
from targen.hashing import sha256_of
from targen.redaction import SECRET_NAME
from targen.store import schema
from targen.store.schema import COMPLETIONS

T = TypeVar("T")

_LOCAL = threading.local()

LONGEST = 1 << 27
"""Bytes of a stored text. Replies of more than 16 MB are not read."""

CHUNK = 500
"""Keys per statement; below SQLite's oldest limit of 999 variables."""

PATIENCE_S = 60.0
"""Seconds to wait for a database server that was reached before."""

BUSY_S = 30.0
"""Seconds to wait for a SQLite file that other processes have locked."""

SYNCHRONOUS = "NORMAL"
"""SQLite's flushing: at checkpoints of the log; FULL would flush at every commit."""

_SILENT_S = 20
"""Idle seconds after which PostgreSQL ends an engine's transaction."""

_TURN = 4712
"""Number of the advisory lock of the engines' transactions."""

_REACHED: set[str] = set()
"""Servers that this process has reached."""

COLUMNS: dict[str, Any] = {
    "request_id": pl.String,
    "parent_request_id": pl.String,
    "status": pl.String,
    "endpoint": pl.String,
    "model": pl.String,
    "served_model": pl.String,
    "fingerprint": pl.String,
    "provider_id": pl.String,
    "prompt": pl.String,
    "raw": pl.String,
    "error": pl.String,
    "finish": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "simulated": pl.Boolean,
    "mean_logprob": pl.Float64,
    "latency": pl.Float64,
    "attempts": pl.Int64,
    "mode": pl.String,
    "run_id": pl.String,
    "project_version": pl.String,
    "created_at": pl.Float64,
}
"""Columns of `Store.completions`; `prompt` is the messages as JSON, `created_at` seconds UTC."""


class Store:
    """A completion store. It is thread-safe: each call uses its own connection."""

    def __init__(self, url: str, make: bool = True) -> None:
        """Open the store.

        Args:
            url: SQLAlchemy URL of SQLite or PostgreSQL.
            make: create its tables if they do not exist.

        Raises:
            StoreError: it cannot be opened or written, is damaged, or is from a newer version; or
                it does not exist and must not be created.
        """
        self._make = make
        try:
            parsed = sa.make_url(url)
            if parsed.drivername in ("postgres", "postgresql"):
                parsed = parsed.set(drivername="postgresql+psycopg2")
            self.shown = shown(parsed)
            self.sqlite = parsed.get_backend_name() == "sqlite"
            if self.sqlite and parsed.database:
                file = Path(parsed.database)
                if not make and not file.exists():
                    # Connecting would create the file.
                    raise self._none()
                # SQLite gives its other files the permissions of this one.
                files.make_private(file)
            self.engine = sa.create_engine(parsed, poolclass=NullPool)
        except ValueError:
            # SQLAlchemy quotes what it takes for the port, which may be part of a password.
            raise StoreError(
                "The completion store cannot be opened: the port in TARGEN_STORE_URL is not a "
                "number. Characters such as @, : and / in a password are written as %40, %3A and "
                "%2F."
            ) from None
        except (ArgumentError, NoSuchModuleError, ImportError, OSError) as error:
            raise StoreError(
                f"The completion store {_hidden(url)} cannot be opened: {error}. "
                "TARGEN_STORE_URL must be the URL of a writable SQLite or PostgreSQL database."
            ) from error
        if self.sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            sa.event.listen(self.engine, "do_connect", _connect_patiently)
        self._prepare()

    def _prepare(self) -> None:
        with self.guarded("opened"):
            version = self._version()
            if version == schema.VERSION:
                return
            if version is None and not self._make:
                raise self._none()
            if version is not None and version not in schema.OLDER:
                raise StoreError(
                    f"The completion store {self.shown} has version {version}, but this release "
                    f"supports {schema.VERSION}. Use the release that wrote it, or a newer one."
                )
            with self.engine.begin() as connection:
                if not self.sqlite:
                    # Several processes may open a new store at once; SQLite's lock is already held.
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4711)")
                from targen.store.migrations.upgrade import upgrade  # noqa: PLC0415

                upgrade(connection)

    def _none(self) -> StoreError:
        return StoreError(
            f"There is no completion store {self.shown}. The first run creates it. To use "
            "another store, set TARGEN_STORE_URL."
        )

    def _version(self) -> str | None:
        """Return the schema's version; None if the store does not exist yet.

        Raises:
            StoreError: the database is not a completion store.
        """
        with self.engine.connect().execution_options(targen_read=True) as connection:
            tables = set(sa.inspect(connection).get_table_names())
            if "alembic_version" in tables:
                found = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
                version = found.scalar()
                return None if version is None else str(version)
            if tables:
                raise StoreError(
                    f"{self.shown} is a database, but not a completion store. Use another URL."
                )
            return None

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Turn database errors into `StoreError`s that name the store and the failed action."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines() or ["?"]
            raise StoreError(
                f"The completion store {self.shown} cannot be {what}: {cause[0]}. "
                f"{_advice(cause[0])}"
            ) from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection for reading, which never waits for writers."""
        with (
            self.guarded("read"),
            self.engine.connect().execution_options(targen_read=True) as connection,
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in a write transaction."""
        with self.guarded("written"), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def completions(
        self, request_ids: Iterable[str], columns: Sequence[str] = tuple(COLUMNS)
    ) -> pl.DataFrame:
        """Return the stored completions of `request_ids`, one row each, in no defined order.

        Ids that the store does not have are omitted.

        Args:
            request_ids: the completions.
            columns: some of `COLUMNS`. `prompt` and `raw` take most of the memory.
        """
        chosen = [COMPLETIONS.c["identity" if name == "prompt" else name] for name in columns]
        schema_ = {name: COLUMNS[name] for name in columns}
        parts = [pl.DataFrame(schema=schema_)]
        with self.read() as connection:
            for ids in chunks(request_ids):
                query = sa.select(*chosen).where(COMPLETIONS.c.request_id.in_(ids))
                rows = [_readable(columns, row) for row in connection.execute(query)]
                parts.append(pl.DataFrame(rows, schema=schema_, orient="row", strict=True))
        return pl.concat(parts)

    def served(self, request_ids: Iterable[str]) -> pl.DataFrame:
        """Return request_id, endpoint, model and served_model of completions, sorted by id.

        Model output is not read, so that a million rows fit into memory.
        """
        columns = ("request_id", "endpoint", "model", "served_model")
        rows: list[Any] = []
        with self.read() as connection:
            for ids in chunks(request_ids):
                chosen = sa.select(*(COMPLETIONS.c[name] for name in columns))
                rows += connection.execute(chosen.where(COMPLETIONS.c.request_id.in_(ids))).all()
        schema_ = dict.fromkeys(columns, pl.String)
        return pl.DataFrame([tuple(row) for row in rows], schema=schema_, orient="row").sort(
            "request_id"
        )

    def known(self, request_ids: Iterable[str]) -> set[str]:
        """Return those of `request_ids` that have an answer."""
        found: set[str] = set()
        with self.read() as connection:
            for ids in chunks(request_ids):
                rows = connection.execute(
                    sa.select(COMPLETIONS.c.request_id).where(
                        COMPLETIONS.c.request_id.in_(ids), COMPLETIONS.c.status != "failed"
                    )
                )
                found.update(row[0] for row in rows)
        return found

    def present(self, request_ids: Iterable[str]) -> set[str]:
        """Return those of `request_ids` that the store has, answered or failed."""
        found: set[str] = set()
        of = COMPLETIONS.c
        with self.read() as connection:
            for ids in chunks(request_ids):
                chosen = sa.select(of.request_id).where(of.request_id.in_(ids))
                found.update(connection.execute(chosen).scalars())
        return found

    def with_chain(self, request_ids: Iterable[str]) -> pl.Series:
        """Return `request_ids` and the earlier attempts of all of them, sorted.

        A table's row refers to the last attempt; the chain has everything that was paid for.
        """
        known = fresh = _distinct(request_ids)
        with self.read() as connection:
            while fresh.len():
                parents: set[str] = set()
                for ids in chunks(fresh):
                    found = connection.execute(
                        sa.select(COMPLETIONS.c.parent_request_id).where(
                            COMPLETIONS.c.request_id.in_(ids),
                            COMPLETIONS.c.parent_request_id.is_not(None),
                        )
                    )
                    parents.update(row[0] for row in found)
                earlier = _distinct(parents)
                fresh = earlier.filter(~earlier.is_in(known.implode()))
                known = _distinct(pl.concat([known, fresh]))
        return known


_ADVICE = {
    "disk is full": "The disk is full: free some space and try again; paid answers are kept.",
    "disk i/o error": "The disk reports an error: check it and its log.",
    "readonly database": "Give this user write permission on the file and its folder.",
    "malformed": "The file is damaged. `targen store verify` lists what cannot be read, and "
    "`targen store salvage NEW` copies the rest to a new store.",
    "not a database": "The file is damaged, or is something else. `targen store salvage NEW` "
    "copies what can be read to a new store.",
    "unable to open": "Check that its folder exists, that this user may write in it, and that the "
    "limit on open files (`ulimit -n`) is not reached.",
    "database is locked": "Another process has locked it for 30 s; wait until that has ended.",
}
"""Part of a database's message -> what to do."""


def _advice(cause: str) -> str:
    known = (words for part, words in _ADVICE.items() if part in cause.casefold())
    return next(known, "Check that it exists, is writable and has free space.")


def now(connection: sa.Connection) -> float:
    """Return the time by the store's clock, which all machines that use PostgreSQL share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(
        connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one()
    )


def take_turns(connection: sa.Connection) -> None:
    """Serialize the engines' write transactions; call it first in the transaction.

    SQLite serializes them itself. In PostgreSQL, two transactions that lock the same rows in
    different orders would deadlock, and one would be rolled back.
    """
    if connection.dialect.name == "sqlite":
        return
    # If the machine disappears, others must not wait until TCP notices.
    connection.exec_driver_sql(
        f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENT_S}s'; "
        f"SELECT pg_advisory_xact_lock({_TURN})"
    )


def pack(data: bytes) -> bytes:
    """Compress; prompts and answers shrink to about a third."""
    # Compressors are expensive to create and not thread-safe.
    compressor = getattr(_LOCAL, "compressor", None)
    if compressor is None:
        compressor = _LOCAL.compressor = zstandard.ZstdCompressor(level=1)
    return bytes(compressor.compress(data))


def unpack(data: bytes) -> bytes:
    """Decompress the result of `pack`.

    Raises:
        StoreError: the bytes are damaged.
    """
    try:
        # The library takes the size that the frame states, whatever the maximum is.
        if zstandard.frame_content_size(data) > LONGEST:
            raise zstandard.ZstdError("it states an impossible size")
        return zstandard.decompress(data, max_output_size=LONGEST)
    except zstandard.ZstdError as error:
        raise StoreError(
            f"A stored completion is damaged ({error}). Run `targen store verify`."
        ) from error


def _readable(columns: Sequence[str], row: Sequence[Any]) -> tuple[Any, ...]:
    read = {"prompt": _prompt, "raw": _raw}
    return tuple(
        read[name](value) if name in read else value
        for name, value in zip(columns, row, strict=True)
    )


def _prompt(identity: bytes) -> str:
    known = json.loads(unpack(identity).decode("utf-8", "surrogatepass"))
    return json.dumps(known["messages"])


def _raw(value: bytes | None) -> str | None:
    return None if value is None else unpack(value).decode("utf-8", "replace")


def chunks(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the distinct ids, sorted, in groups that fit into one statement."""
    unique = _distinct(ids)
    for start in range(0, unique.len(), CHUNK):
        yield unique[start : start + CHUNK].to_list()


def _distinct(ids: Iterable[str]) -> pl.Series:
    """Return the distinct ids, sorted: as a series, because there can be millions."""
    found = ids if isinstance(ids, pl.Series) else pl.Series(list(ids), dtype=pl.String)
    return found.unique().sort()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    # The driver's own transactions begin too late; _begin_sqlite begins them.
    connection.isolation_level = None
    cursor = connection.cursor()
    # NORMAL: committed data survives the death of the process. To survive a power failure as well,
    # each commit would have to wait for the disk, during which a killed process would lose answers.
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    _log_ahead(cursor)
    cursor.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    cursor.close()


def _log_ahead(cursor: Any) -> None:
    """Switch to the write-ahead log, which several processes may do at once with a new file.

    SQLite does not wait for its busy timeout if two readers want to change the mode.
    """
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _connect_patiently(dialect: Any, record: Any, arguments: Any, settings: Any) -> Any:
    """Connect; if the server was reached before, wait until it has restarted."""
    del record
    name = repr(sorted(settings.items(), key=str)) + repr(arguments)
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection = dialect.connect(*arguments, **settings)
        except dialect.loaded_dbapi.OperationalError:
            # A server that was never reached may have a wrong address: do not wait for it.
            if name not in _REACHED or time.monotonic() > give_up:
                _REACHED.discard(name)
                raise
            time.sleep(0.3)
        else:
            _REACHED.add(name)
            return connection


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads before it writes fails if another one has written in between. Take
    # the write lock at once, unless the transaction only reads.
    reading = connection.get_execution_options().get("targen_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def shown(url: sa.URL) -> str:
    """Return a URL for messages: without its password, also where the query contains it."""
    query = {
        name: "***" if SECRET_NAME.search(name) else value for name, value in url.query.items()
    }
    return url.set(query=query).render_as_string(hide_password=True)


def _hidden(url: str) -> str:
    try:
        return shown(sa.make_url(url))
    except (ArgumentError, ValueError):
        return "(not a URL)"


Work = Callable[[sa.Connection], T]
"""An action within a transaction of the store."""


def checksum(row: Mapping[str, Any]) -> str:
    """Return the sha256 of a stored completion, over every column except the checksum.

    Values count as the database returns them, so that the checksum is the same before and after
    storing, in SQLite and in PostgreSQL. A column that was added later counts only if it has a
    value, so that older rows keep their checksums.
    """
    parts = []
    for name, kind in _STORED:
        value = row.get(name) if name in ADDED else row[name]
        if value is None and name in ADDED:
            continue
        if value is None:
            parts.append(f"{name}:-")
        elif kind is bytes:
            parts.append(f"{name}:{sha256_of(value)}")
        else:
            parts.append(f"{name}:{kind(value)!a}")
    return sha256_of("\n".join(parts).encode())


ADDED = frozenset({"cached_tokens"})
"""Columns of completions that were added after the checksum."""

_STORED = [(c.name, c.type.python_type) for c in COMPLETIONS.columns if c.name != "checksum"]
