"""The one thread of a process that writes to the store, in group commits."""

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


def _speed_up() -> None:
    """Switch threads sooner and freeze the garbage collector's oldest objects.

    The database driver releases the interpreter lock for every row. Beside a busy event loop it
    would wait 5 ms, Python's default, to get it back each time. A full garbage collection looks
    through all loaded modules, which stops the event loop for a tenth of a second.
    """
    global _open, _usual_switch_s  # noqa: PLW0603 (it is a setting of the process)
    if _open == 0:
        _usual_switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()
    _open += 1


def _slow_down() -> None:
    """Undo one `_speed_up`; the last one restores the process's settings."""
    global _open  # noqa: PLW0603
    _open -= 1
    if _open == 0:
        sys.setswitchinterval(_usual_switch_s)
        gc.unfreeze()


T = TypeVar("T")
Row = Mapping[str, Any]
_Item = tuple[Work[Any] | Row, "asyncio.Future[Any] | None"]

_GROUP = 512
_BEAT_S = 1.5
_TRIES = 5
_ROLLED_BACK = "40"
"""Class of the SQLSTATEs that ask for the transaction again: deadlock, serialization failure."""


class Writer:
    """Runs work in group transactions; a caller awaits the commit.

    `beat` runs in a transaction of its own every second or two, independent of the event loop. It
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
            put: stores the rows given to `put`.
            beat: renews the process's leases.
            pause_s: minimum time between two commits, so that work is grouped.
        """
        self._store = store
        self._put = put
        self._beat = beat
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        _speed_up()
        self._thread = threading.Thread(target=self._run, name="targen-store", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Any]) -> None:
        """Run `work` soon; its result is dropped.

        A failure is dropped too: a store that fails is noticed where answers are written.
        """
        self._queue.put((work, None))

    async def call(self, work: Work[T]) -> T:
        """Run `work` and return its result once it is committed.

        Raises:
            StoreError: the store cannot be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((work, future))
        return await future

    async def put(self, row: Row) -> None:
        """Store a row; all rows of a group are stored in one statement.

        Raises:
            StoreError: the store cannot be written.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((row, future))
        await future

    async def close(self) -> None:
        """Commit what is left and end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        _slow_down()

    def _run(self) -> None:
        try:
            connection = self._store.engine.connect()
        except sa.exc.SQLAlchemyError as error:
            self._fail_all(StoreError(f"The completion store {self._store.shown}: {error}"))
            return
        with connection:
            # At once, so that maintenance commands see that a run is using the store.
            beaten = time.monotonic()
            self._deliver(self._commit(connection, [(self._beat, None)]))
            while True:
                group, ended = self._collect()
                if time.monotonic() - beaten >= _BEAT_S and not ended:
                    beaten = time.monotonic()
                    # First: leases refer to their owner.
                    group.insert(0, (self._beat, None))
                if group:
                    self._deliver(self._commit(connection, group))
                if ended:
                    return

    def _collect(self) -> tuple[list[_Item], bool]:
        """Return the next group, empty after a while without work, and whether it is the last."""
        group: list[_Item] = []
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
        self, connection: sa.Connection, group: list[_Item], tries: int = _TRIES
    ) -> list[tuple["asyncio.Future[Any] | None", Any]]:
        try:
            with self._store.guarded("written"), connection.begin():
                take_turns(connection)
                rows = [work for work, _ in group if not callable(work)]
                if rows:
                    self._put(connection, rows)
                return [
                    (future, work(connection) if callable(work) else None) for work, future in group
                ]
        except Exception as error:
            if tries and _again(error):
                # If the database server went away after the commit, amounts may be counted as
                # spent twice. No row is stored twice.
                return self._commit(connection, group, tries - 1)
            if len(group) == 1:
                return [(group[0][1], error)]
        # One bad piece must not spoil the group: each again by itself.
        return [pair for item in group for pair in self._commit(connection, [item])]

    def _deliver(self, results: list[tuple["asyncio.Future[Any] | None", Any]]) -> None:
        def resolve() -> None:
            for future, result in results:
                if future is None or future.done():
                    continue
                if isinstance(result, BaseException):
                    future.set_exception(result)
                else:
                    future.set_result(result)

        try:
            self._loop.call_soon_threadsafe(resolve)
        except RuntimeError:  # the loop is closed, so no caller is waiting
            return

    def _fail_all(self, error: StoreError) -> None:
        while (item := self._queue.get()) is not None:
            self._deliver([(item[1], error)])


def _again(error: Exception) -> bool:
    """Return whether the transaction may succeed now: its connection was cut, or it deadlocked."""
    cause = error.__cause__
    if not isinstance(cause, sa.exc.DBAPIError):
        return False
    state = getattr(cause.orig, "pgcode", None) or ""
    return bool(cause.connection_invalidated) or state.startswith(_ROLLED_BACK)
