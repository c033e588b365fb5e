"""Maintenance of a completion store: statistics, verification, backup, pruning, costs."""

import base64
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, Literal

import polars as pl
import sqlalchemy as sa

from targen import reading
from targen.errors import StoreError
from targen.hashing import sha256_of
from targen.steps import STEPS
from targen.store.completions import ADDED, CHUNK, Store, checksum, chunks, unpack
from targen.store.ledger import insert
from targen.store.schema import BUDGETS, COMPLETIONS, EMBEDDINGS, TABLE_DIGESTS, USES
from targen.wording import plural

KEPT: Final = (COMPLETIONS, USES, BUDGETS, TABLE_DIGESTS, EMBEDDINGS)
"""Tables of a backup. Leases, reservations and batches in progress are of running processes."""

_SHOWN: Final = 3

VECTORS = "(embeddings)"
"""The key of the row with the total of all vectors."""

Key = Literal["task", "step", "model", "day", "run"]


def stats(store: Store) -> dict[str, Any]:
    """Return the number of completions by status, their tokens and cost, and the amount spent.

    `cached_tokens` is the part of the prompt tokens that endpoints read from their caches, as far
    as they report it.
    `cost_usd` is the sum of the known prices; `unpriced` is the number of completions without one.
    `embeddings` has the number of embedded texts, their tokens and cost (None if a price is
    unknown).
    """
    of = COMPLETIONS.c
    with store.read() as connection:
        statuses = connection.execute(
            sa.select(of.status, sa.func.count()).group_by(of.status).order_by(of.status)
        )
        sums = connection.execute(
            sa.select(
                sa.func.sum(of.prompt_tokens),
                sa.func.sum(of.completion_tokens),
                sa.func.sum(of.cost_usd),
                sa.func.sum(sa.case((of.cost_usd.is_(None), 1), else_=0)),
                sa.func.min(of.created_at),
                sa.func.max(of.created_at),
                sa.func.sum(of.cached_tokens),
            )
        ).one()
        spent = connection.execute(sa.select(BUDGETS.c.scope, BUDGETS.c.spent_usd))
        return {
            "completions": {row[0]: row[1] for row in statuses},
            "prompt_tokens": sums[0] or 0,
            "completion_tokens": sums[1] or 0,
            "cached_tokens": sums[6] or 0,
            "cost_usd": sums[2] or 0.0,
            "unpriced": sums[3] or 0,
            "embeddings": _embedded(connection),
            "first_at": sums[4],
            "last_at": sums[5],
            "spent_usd": {row[0]: row[1] for row in spent},
        }


def _embedded(connection: sa.Connection) -> dict[str, Any]:
    of = EMBEDDINGS.c
    texts, tokens, cost, known, simulated = connection.execute(
        sa.select(
            sa.func.count(),
            sa.func.sum(of.prompt_tokens),
            sa.func.sum(of.cost_usd),
            sa.func.count(of.cost_usd),
            sa.func.min(sa.cast(of.simulated, sa.Integer)),
        )
    ).one()
    return {
        "texts": texts,
        "prompt_tokens": tokens or 0,
        "cost_usd": (cost or 0.0) if known == texts else None,
        "simulated": bool(simulated),
    }


def verify(store: Store) -> list[str]:
    """Return the problems of the store, one line each; empty if there are none.

    The id of every completion is recomputed from its request, and its checksum from all stored
    columns. Every text is decompressed.
    """
    found = []
    with store.read() as connection:
        if store.sqlite:
            check = connection.exec_driver_sql("PRAGMA quick_check").scalar()
            if check != "ok":
                found.append(f"SQLite says: {check}")
        for row in _all(connection, COMPLETIONS):
            if problem := problem_of(dict(row)):
                found.append(f"{row['request_id']}: {problem}")
    return found


def export(store: Store, target: IO[bytes]) -> int:
    """Write completions, uses, amounts and file digests to a file; return the number of lines.

    The content is gzipped JSON lines. The caller writes to a draft, so that an older backup
    survives a failure.

    Raises:
        OSError: the file cannot be written.
        StoreError: the store cannot be read, or a completion is damaged. `load` would refuse a
            backup with it, and a backup without it could replace one that still has it.
    """
    count = 0
    damaged: list[str] = []
    with (
        io.TextIOWrapper(gzip.GzipFile(fileobj=target, mode="wb"), encoding="utf-8") as file,
        store.read() as connection,
    ):
        for table in KEPT:
            for row in _all(connection, table):
                if table is COMPLETIONS and problem_of(dict(row)):
                    damaged.append(row["request_id"])
                file.write(json.dumps({"table": table.name, **_plain(row)}) + "\n")
                count += 1
    if damaged:
        more = ", ..." if len(damaged) > _SHOWN else ""
        raise StoreError(
            f"{plural(len(damaged), 'completion')} of {store.shown} cannot be backed up, because "
            f"what is stored was changed or damaged: {', '.join(damaged[:_SHOWN])}{more}. Nothing "
            "was written. `targen store drop ID` deletes one; then import an earlier backup that "
            "has it, or let the next run request and pay for it again."
        )
    return count


def load(store: Store, source: Path) -> int:
    """Import completions and uses from a file of `export`; return the number of new ones.

    Existing completions are not changed. Amounts spent are imported only if the store has spent
    nothing: the amount of two merged stores is the sum of both.

    Raises:
        StoreError: the file cannot be read, is not an export, or has a damaged completion; nothing
            was imported.
    """
    new = 0
    read = 0
    try:
        with (
            reading.opened(source) as raw,
            gzip.open(raw, "rt", encoding="utf-8") as file,
            store.write() as connection,
        ):
            while line := file.readline(_LONGEST_LINE):
                table, values = _read_line(line)
                read += 1
                statement = insert(connection, table).values(values).on_conflict_do_nothing()
                new += connection.execute(statement).rowcount
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"The backup {source} cannot be read{f' after line {read}' if read else ''}: {cause}. "
            "Nothing was imported. Use a complete file written by `targen store export`."
        ) from error
    return new


_AMOUNTS: Final = frozenset({"spent_usd", "cost_usd", "prompt_tokens", "completion_tokens"})
_LONGEST_LINE: Final = 256 * 1024**2
"""Characters; of a longer line, the pieces are no JSON."""
_TABLES = {table.name: table for table in KEPT}


def _read_line(text: str) -> tuple[sa.Table, dict[str, Any]]:
    """Return the table and the values of a line of a backup.

    Raises:
        ValueError: the line is invalid.
    """
    row = json.loads(text)
    name = row.pop("table", None) if isinstance(row, dict) else None
    table = _TABLES.get(name) if isinstance(name, str) else None
    names = set() if table is None else {column.name for column in table.columns}
    # Rows from older versions lack these.
    if table is None or not names - {"checksum", *ADDED} <= set(row) <= names:
        raise ValueError("a line is not what an export writes")
    values: dict[str, Any]
    try:
        values = {
            name: base64.b64decode(value["zstd"]) if isinstance(value, dict) else value
            for name, value in row.items()
        }
    except (TypeError, KeyError):
        raise ValueError("a line is not what an export writes") from None
    # A negative amount would raise the budget.
    for name in values.keys() & _AMOUNTS:
        amount = values[name]
        if amount is not None and not (type(amount) in (int, float) and 0 <= amount < math.inf):
            raise ValueError(f"{name} is not an amount from 0")
    if table is COMPLETIONS and (problem := problem_of(values)):
        raise ValueError(f"request {str(values['request_id'])[:64]}: {problem}")
    return table, values


def problem_of(row: Mapping[str, Any]) -> str | None:
    """Return the problem of a stored completion; None if it is what was stored."""
    try:
        if sha256_of(unpack(row["identity"])) != row["request_id"]:
            return "its request is not the one it is named for"
        if row["raw"] is not None:
            unpack(row["raw"])
        if row.get("checksum") not in (None, checksum(row)):
            return "it is not what was stored (checksum)"
    except StoreError as error:
        return str(error)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        # A damaged page can put values of any type into a row.
        return f"it cannot be checked ({error!r})"
    return None


def unneeded(store: Store, needed: Iterable[str]) -> pl.DataFrame:
    """Return the completions that `prune` would delete, by the task and step that paid for them.

    Columns: task, step (null if the paying use is unknown), completions, cost_usd (null if a price
    is unknown).
    """
    kept = set(store.with_chain(needed))
    of = COMPLETIONS.c
    paid = sa.outerjoin(
        COMPLETIONS, USES, (of.request_id == USES.c.request_id) & USES.c.paid.is_(True)
    )
    rows: dict[str, tuple[str | None, str | None, float | None]] = {}
    with store.read() as connection:
        found = connection.execute(
            sa.select(of.request_id, USES.c.task, USES.c.step, of.cost_usd).select_from(paid)
        )
        for request_id, task, step, cost in found:
            if request_id not in kept:
                rows[request_id] = (task, step, cost)
    schema = {"task": pl.String, "step": pl.String, "cost_usd": pl.Float64}
    frame = pl.DataFrame(list(rows.values()), schema=schema, orient="row")
    known = pl.col("cost_usd").is_not_null().all()
    return (
        frame.group_by("task", "step")
        .agg(completions=pl.len(), cost_usd=pl.when(known).then(pl.col("cost_usd").sum()))
        .sort("task", "step")
    )


def last_used(store: Store, tasks: Iterable[str]) -> set[str]:
    """Return the requests used by the last run of every step of `tasks`.

    Not every request is in a table: a question whose answer removed a word is not, nor are the
    requests of an interrupted run.
    """
    of = USES.c
    last: dict[tuple[str, str], tuple[float, str]] = {}
    wanted = set(tasks)
    with store.read() as connection:
        runs = connection.execute(
            sa.select(of.task, of.step, of.run_id, sa.func.max(of.used_at)).group_by(
                of.task, of.step, of.run_id
            )
        )
        for task, step, run, moment in runs:
            if task in wanted:
                last[task, step] = max(last.get((task, step), (0.0, "")), (moment, run))
        found: set[str] = set()
        for (task, step), (_, run) in last.items():
            found.update(
                connection.execute(
                    sa.select(of.request_id).where(
                        of.task == task, of.step == step, of.run_id == run
                    )
                ).scalars()
            )
    return found


def prune(store: Store, needed: Iterable[str]) -> int:
    """Delete completions that nothing descends from; return their number.

    The caller has exclusive access, since before `needed` was read: the answers of a run may not be
    in a table yet.

    Args:
        store: the store.
        needed: requests to keep, together with their earlier attempts.
    """
    kept = set(store.with_chain(needed))
    with store.write() as connection:
        every = connection.execute(sa.select(COMPLETIONS.c.request_id)).scalars()
        gone = sorted(set(every) - kept)
        _delete(connection, gone)
    return len(gone)


def drop(store: Store, request_id: str) -> int:
    """Delete a completion and its earlier attempts, or the vector of a text.

    Raises:
        StoreError: the store does not have it.
    """
    chain = store.with_chain([request_id])
    with store.write() as connection:
        count = _delete(connection, chain)
        vector = sa.delete(EMBEDDINGS).where(EMBEDDINGS.c.embedding_id == request_id)
        count += connection.execute(vector).rowcount
    if not count:
        raise StoreError(
            f"The completion store {store.shown} has no request {request_id[:64]!r}. Use 64 hex "
            "digits from a column request_id or request_ids."
        )
    return count


def costs(store: Store, by: Key) -> pl.DataFrame:
    """Return calls, tokens and US dollars that were paid, by task, step, model, day or run.

    Steps are in the order of `targen.steps.STEPS`, everything else by name. A completion counts for
    the use that paid for it, not for uses that found it stored. Vectors have a separate row,
    because the store does not record who paid for them. Columns: the key, calls (null for vectors),
    prompt_tokens, completion_tokens, cached_tokens (part of the prompt tokens, as far as endpoints
    report it), cost_usd (null if a price is unknown), simulated (whether all of it was).
    """
    of = COMPLETIONS.c
    with store.read() as connection:
        key: Any = {
            "task": USES.c.task,
            "step": USES.c.step,
            "model": of.model,
            "day": _day(connection, of.created_at),
            "run": USES.c.run_id,
        }[by]
        # Summed by the database, because there can be millions of completions.
        rows = connection.execute(
            sa.select(
                key,
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(of.prompt_tokens), 0),
                sa.func.coalesce(sa.func.sum(of.completion_tokens), 0),
                sa.func.coalesce(sa.func.sum(of.cached_tokens), 0),
                sa.case((sa.func.count() == sa.func.count(of.cost_usd), sa.func.sum(of.cost_usd))),
                sa.func.min(sa.cast(of.simulated, sa.Integer)),
            )
            .select_from(sa.join(COMPLETIONS, USES, of.request_id == USES.c.request_id))
            .where(USES.c.paid)
            .group_by(key)
        ).all()
        vectors = _embedded(connection)
    rank = {step: at for at, step in enumerate(STEPS)}
    rows = sorted(
        rows, key=lambda row: (rank.get(row[0], len(rank)) if by == "step" else 0, row[0])
    )
    if vectors["texts"]:
        of_vectors = (vectors[name] for name in ("prompt_tokens", "cost_usd", "simulated"))
        sent, cost, simulated = of_vectors
        rows.append((VECTORS, None, sent, 0, 0, cost, simulated))  # type: ignore[arg-type]
    columns = {
        by: pl.String,
        "calls": pl.Int64,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
        "cached_tokens": pl.Int64,
        "cost_usd": pl.Float64,
        "simulated": pl.Boolean,
    }
    made = [(*row[:-1], bool(row[-1])) for row in rows]
    return pl.DataFrame(made, schema=columns, orient="row")


def _day(connection: sa.Connection, moment: Any) -> Any:
    """Return the SQL expression for the day, YYYY-MM-DD in UTC, of a Unix time in seconds."""
    if connection.dialect.name == "sqlite":
        return sa.func.date(moment, "unixepoch")
    return sa.func.to_char(sa.func.timezone("UTC", sa.func.to_timestamp(moment)), "YYYY-MM-DD")


def _all(connection: sa.Connection, table: sa.Table) -> Iterator[sa.RowMapping]:
    """Yield all rows without loading them all into memory."""
    found = connection.execution_options(yield_per=CHUNK).execute(sa.select(table))
    yield from found.mappings()


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    return {
        name: {"zstd": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _delete(connection: sa.Connection, ids: Iterable[str]) -> int:
    count = 0
    for part in chunks(ids):
        connection.execute(sa.delete(USES).where(USES.c.request_id.in_(part)))
        deleted = connection.execute(
            sa.delete(COMPLETIONS).where(COMPLETIONS.c.request_id.in_(part))
        )
        count += deleted.rowcount
    return count
