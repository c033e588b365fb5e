"""The one thread of a process that writes to the store."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from targen.errors import StoreError
from targen.store.completions import Store, Work, take_turns

_SWITCH_S = 0.0002
_open = 0
_usual_switch_s = 0.0


def hurry() -> None:
    """Make pauses short until as many calls of `rest` have come.

    Threads take turns sooner: the driver gives the interpreter's lock up for every row; beside a
    busy event loop it would get it back only after Python's usual 5 ms each time. And the garbage
    collector leaves alone what is there already, modules above all: to look through it takes a
    tenth of a second, some times in a run.
    """
    global _open, _usual_switch_s  # noqa: PLW0603 (it is a setting of the process)
    if _open == 0:
        _usual_switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()
    _open += 1


def rest() -> None:
    """Take one call of `hurry` back; with the last of them, all is as it was."""
    global _open  # noqa: PLW0603
    _open -= 1
    if _open == 0:
        sys.setswitchinterval(_usual_switch_s)
        gc.unfreeze()


T = TypeVar("T")
Done = Callable[[Any], None]
Row = Mapping[str, Any]
Item = tuple[Work[Any] | Row, Done]

_GROUP = 512
_BEAT_S = 1.5
_TRIES = 5
_ROLLED_BACK = "40"
"""Class of the SQLSTATEs that ask for the transaction again: deadlock, serialization failure."""


class Writer:
    """Runs work in group transactions and tells the event loop when it is committed.

    `beat` is run in a transaction of its own every second or two, independent of the event loop: it
    keeps the process's leases alive.
    """

    def __init__(
        self,
        store: Store,
        put: Callable[[sa.Connection, Sequence[Row]], None],
        beat: Work[None],
        pause_s: float,
    ) -> None:
        """Start the thread; must be called on a running event loop.

        Args:
            store: where to write.
            put: stores the rows of `put`.
            beat: what keeps the process alive in the eyes of others.
            pause_s: least time between two commits, so that work piles up into groups.
        """
        self._store = store
        self._put = put
        self._beat = beat
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        hurry()
        self._thread = threading.Thread(target=self._run, name="targen-store", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Any], done: Done) -> None:
        """Do `work` soon; call `done` on the event loop with its result or its exception."""
        self._queue.put((work, done))

    def put(self, row: Row, done: Done) -> None:
        """Store a row soon, all rows of a group in one statement; else as `submit`."""
        self._queue.put((row, done))

    async def call(self, work: Work[T]) -> T:
        """Do `work` and return its result once it is committed."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: Any) -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(work, done)
        return await future

    async def close(self) -> None:
        """Commit what is left and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        rest()

    def _run(self) -> None:
        try:
            connection = self._store.engine.connect()
        except sa.exc.SQLAlchemyError as error:
            self._fail_all(StoreError(f"The completion store {self._store.shown}: {error}"))
            return
        with connection:
            # At once, so that maintenance commands see that a run is using the store.
            beaten = time.monotonic()
            self._deliver(self._commit(connection, [(self._beat, _ignore)]))
            while True:
                group, ended = self._collect()
                if time.monotonic() - beaten >= _BEAT_S and not ended:
                    beaten = time.monotonic()
                    # First: leases refer to their owner.
                    group.insert(0, (self._beat, _ignore))
                if group:
                    self._deliver(self._commit(connection, group))
                if ended:
                    return

    def _collect(self) -> tuple[list[Item], bool]:
        """Return the next group, empty after a while without work, and whether it is the last."""
        group: list[Item] = []
        try:
            item = self._queue.get(timeout=_BEAT_S)
        except Empty:
            return [], False
        time.sleep(self._pause_s)
        while item is not None:
            group.append(item)
            if len(group) >= _GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(
        self, connection: sa.Connection, group: list[Item], tries: int = _TRIES
    ) -> list[tuple[Done, Any]]:
        try:
            with self._store.guarded("written"), connection.begin():
                take_turns(connection)
                rows = [work for work, _ in group if not callable(work)]
                if rows:
                    self._put(connection, rows)
                return [
                    (done, work(connection) if callable(work) else None) for work, done in group
                ]
        except Exception as error:
            if tries and _again(error):
                # Where the database server went away, amounts may be counted as spent twice: it did
                # the work and only its answer was lost. Nothing is stored twice.
                return self._commit(connection, group, tries - 1)
            if len(group) == 1:
                return [(group[0][1], error)]
        # One bad piece must not spoil the group: each again by itself.
        return [pair for item in group for pair in self._commit(connection, [item])]

    def _deliver(self, results: list[tuple[Done, Any]]) -> None:
        def tell() -> None:
            for done, result in results:
                done(result)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed, so no one is waiting
            return

    def _fail_all(self, error: StoreError) -> None:
        while (item := self._queue.get()) is not None:
            self._deliver([(item[1], error)])


def _again(error: Exception) -> bool:
    """Tell whether the same transaction may succeed now: cut off, or broken off as a deadlock."""
    cause = error.__cause__
    if not isinstance(cause, sa.exc.DBAPIError):
        return False
    state = getattr(cause.orig, "pgcode", None) or ""
    return bool(cause.connection_invalidated) or state.startswith(_ROLLED_BACK)


def _ignore(result: Any) -> None:
    """No caller waits for a heartbeat: a failure surfaces with the next transaction."""
