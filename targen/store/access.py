"""Access to a completion store: any number of engines at a time, or one maintenance command.

Each engine and the command have a row in the table of locks, which they renew. A row that is not
renewed expires, so that a killed process blocks the store for some seconds only.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import sqlalchemy as sa

from targen.errors import StoreError
from targen.store.completions import Store, now, take_turns
from targen.store.schema import HOLDS

PLACE: Final = "completion store"
"""`HOLDS.place` of these rows; that of partitions is a URL."""
MAINTENANCE: Final = "maintenance"
"""`HOLDS.task` of the command's row; that of an engine is its owner."""
ENTER_S: Final = 60.0
"""Seconds that an engine waits for a maintenance command."""
_COMMAND_S: Final = 8.0
_RENEW_S: Final = 2.0
_POLL_S: Final = 0.1
_SET_BACK_S: Final = 60.0
"""A lease that ends this much later than a new one was made before the clock was set back."""


def limited(
    connection: sa.Connection, table: sa.Table, lease_s: float, *which: sa.ColumnElement[bool]
) -> None:
    """Let leases end soon that end later than anyone can have set them by this clock.

    The clock was set back, so a dead process's lease would seem to live until the clock is there
    again. A living process renews its own.

    Args:
        connection: in a transaction that has its turn.
        table: with the column `expires_at`.
        lease_s: how long a lease lasts.
        which: the rows.
    """
    end = now(connection) + lease_s
    late = table.c.expires_at > end + _SET_BACK_S
    connection.execute(sa.update(table).where(late, *which).values(expires_at=end))


def enter(store: Store, owner: str, run_id: str, lease_s: float, wait_s: float = ENTER_S) -> None:
    """Register an engine as a user of the store, once no maintenance command is changing it.

    Args:
        store: the store.
        owner: the engine, 32 hex digits.
        run_id: its run, for messages.
        lease_s: seconds until `renew` must be called.
        wait_s: seconds to wait for a maintenance command.

    Raises:
        StoreError: the command did not end in time, or the store cannot be written.
    """
    give_up = time.monotonic() + wait_s
    while True:
        with store.write() as connection:
            take_turns(connection)
            limited(connection, HOLDS, _COMMAND_S, HOLDS.c.place == PLACE)
            other = _other(connection, HOLDS.c.place == PLACE, HOLDS.c.task == MAINTENANCE)
            if other is None:
                renew(connection, owner, run_id, now(connection) + lease_s)
                return
        if time.monotonic() > give_up:
            raise StoreError(
                f"{other} is changing the completion store {store.shown}. Start the run again "
                "when that has ended."
            )
        time.sleep(_POLL_S)


def renew(connection: sa.Connection, owner: str, run_id: str, expires_at: float) -> None:
    """Extend an engine's registration, in a transaction that has its turn."""
    _register(connection, owner, owner, run_id, expires_at)


def _register(
    connection: sa.Connection, task: str, token: str, run_id: str, expires_at: float
) -> None:
    """Write the row of an engine or of the command, in place of an earlier one."""
    leave(connection, task)
    connection.execute(
        sa.insert(HOLDS).values(
            place=PLACE,
            task=task,
            token=token,
            run_id=run_id,
            holder=this_process(),
            expires_at=expires_at,
        )
    )


def leave(connection: sa.Connection, owner: str) -> None:
    """End a registration."""
    connection.execute(sa.delete(HOLDS).where(HOLDS.c.place == PLACE, HOLDS.c.task == owner))


@contextmanager
def exclusive(store: Store, command: str, wait_s: float) -> Iterator[None]:
    """Keep engines, runs with tables on S3, and other commands out of the store.

    Args:
        store: the store.
        command: its name, for messages of others.
        wait_s: seconds to wait for them to end.

    Raises:
        StoreError: one of them did not end in time, or the store cannot be written.
    """
    token = uuid.uuid4().hex
    give_up = time.monotonic() + wait_s
    while (other := _take(store, token, command)) is not None:
        if time.monotonic() > give_up:
            raise StoreError(
                f"{other} is using the completion store {store.shown}, so {command} changed "
                "nothing. Repeat the command when that has ended."
            )
        time.sleep(_POLL_S)
    ended = threading.Event()

    def extend() -> None:
        while not ended.wait(_RENEW_S):
            # The command's own transaction locks SQLite; then nothing else can enter, either.
            with suppress(StoreError):
                _take(store, token, command)

    thread = threading.Thread(target=extend, name="targen-maintenance", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        # If the store cannot be reached, the row expires.
        with suppress(StoreError), store.write() as connection:
            take_turns(connection)
            leave(connection, MAINTENANCE)


def _take(store: Store, token: str, command: str) -> str | None:
    """Take or extend the command's row; return who uses the store, if another does."""
    with store.write() as connection:
        take_turns(connection)
        moment = now(connection)
        limited(connection, HOLDS, _COMMAND_S)
        # Other processes' rows are removed with their leases; these have no other end.
        connection.execute(
            sa.delete(HOLDS).where(HOLDS.c.place == PLACE, HOLDS.c.expires_at <= moment)
        )
        other = _other(connection, HOLDS.c.token != token)
        if other is not None:
            return other
        _register(connection, MAINTENANCE, token, command, moment + _COMMAND_S)
        return None


def _other(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> str | None:
    """Return the first living holder among rows, in words."""
    alive = sa.select(HOLDS).where(*which, HOLDS.c.expires_at > now(connection))
    row = connection.execute(alive.order_by(HOLDS.c.run_id).limit(1)).mappings().first()
    if row is None:
        return None
    command = row["place"] == PLACE and row["task"] == MAINTENANCE
    name = row["run_id"] if command else f"Run {row['run_id']}" if row["run_id"] else "A command"
    return f"{name} ({row['holder']})"


def this_process() -> str:
    """Return the id and the host of this process, in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"
