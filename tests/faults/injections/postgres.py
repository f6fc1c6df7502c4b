"""Faults of PostgreSQL: gone, full, read-only, and statements that lose against somebody else's.

What needs rights of its own (ALTER SYSTEM, ending and cancelling sessions) is done as the stack's superuser,
over a connection that passes no proxy. Sessions of workers are known by their application name.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any, Final, TypeAlias

import asyncpg

from deploy.stack import Kind
from tests.faults.fault import Fault, FaultKind
from tests.faults.injections.stopping import Stopped, stop_kinds
from tests.faults.place import Place
from tests.support.waiting import until

STOPPED: Final = Stopped(Kind.POSTGRES, signal.SIGINT)
KILLED: Final = Stopped(Kind.POSTGRES, signal.SIGKILL)

Connection: TypeAlias = "asyncpg.Connection[Any]"
_OURS: Final = "wabus faults"
_WORKERS: Final = "application_name = 'wabus' and pid <> pg_backend_pid()"
_ANSWER_S: Final = 30.0
_PAUSE_S: Final = 0.05
_AT_ONCE: Final = 20


class ConnectionLimit:
    """Every place is taken, and no worker has one: whoever connects is told "too many clients already"."""

    name = "postgres at its connection limit"

    def __init__(self) -> None:
        self._held: list[Connection] = []

    async def strike(self, place: Place) -> None:
        """Take all places, end the workers' sessions, and take theirs too."""
        await self._fill(place)
        first = self._held[0]
        while await first.fetchval(f"select count(pg_terminate_backend(pid)) {_SESSIONS} where {_WORKERS}"):
            await self._fill(place)

    async def heal(self, place: Place) -> None:
        """Give the places back; returns once a client gets one."""
        for connection in self._held:
            connection.terminate()
        self._held.clear()
        await _until_answers(place)

    async def _fill(self, place: Place) -> None:
        is_full = False
        while not is_full:
            tries = await asyncio.gather(*(_connect(place) for _ in range(_AT_ONCE)), return_exceptions=True)
            self._held += [item for item in tries if isinstance(item, asyncpg.Connection)]
            errors = [item for item in tries if isinstance(item, BaseException)]
            is_full = any(isinstance(error, asyncpg.TooManyConnectionsError) for error in errors)
            if errors and not is_full:
                raise errors[0]


class ServerSetting:
    """A server-wide setting that sessions in use have at their next transaction, too."""

    def __init__(self, name: str, setting: str, value: str) -> None:
        self.name = name
        self._setting = setting
        self._value = value

    async def strike(self, place: Place) -> None:
        """Set it; returns once a session has it."""
        await self._change(place, f"alter system set {self._setting} = '{self._value}'", is_set=True)

    async def heal(self, place: Place) -> None:
        """Take it back; returns once a session has lost it."""
        await self._change(place, f"alter system reset {self._setting}", is_set=False)

    async def _change(self, place: Place, statement: str, *, is_set: bool) -> None:
        async with _session(place) as connection:
            await connection.execute(statement)
            await connection.execute("select pg_reload_conf()")

        async def is_in_force() -> bool:
            fresh = await asyncpg.connect(place.servers.database_url, timeout=_ANSWER_S)
            try:
                return (await fresh.fetchval(f"show {self._setting}") == self._value) is is_set
            finally:
                await fresh.close()

        await until(is_in_force, timeout_s=_ANSWER_S)


class ReadOnly(ServerSetting):
    """As a standby is, or a server whose disk ran full and was saved by its operator."""

    def __init__(self) -> None:
        super().__init__("postgres read-only", "default_transaction_read_only", "on")


class Background:
    """A session of its own that works against the workers until it is healed."""

    name: str

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def strike(self, place: Place) -> None:
        """Begin; returns once it is at work."""
        started = asyncio.Event()
        self._task = asyncio.create_task(self._run(place, started), name=self.name)
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def heal(self, place: Place) -> None:
        """End it and what it holds. Raises what ended it before its time."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        await _until_answers(place)

    async def _run(self, place: Place, started: asyncio.Event) -> None:
        async with _session(place) as connection:
            await self._work(connection, started)

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        raise NotImplementedError


class LockedTables(Background):
    """Writes to these tables wait for a lock that is held longer than the workers' lock time-out (5 s)."""

    def __init__(self, *tables: str) -> None:
        super().__init__()
        self._tables = tables
        self.name = f"postgres locks of {', '.join(tables)} held"

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        async with connection.transaction():
            await connection.execute(f"lock table {', '.join(self._tables)} in exclusive mode")
            started.set()
            await asyncio.Event().wait()


class CancelledStatements(Background):
    """Statements of workers are cancelled under way, as a statement time-out cancels them.

    A part of them: those that run at one of the moments at which it looks.
    """

    name = "postgres statements time out"

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        while True:
            self.count += await connection.fetchval(
                f"select count(pg_cancel_backend(pid)) {_SESSIONS} where {_WORKERS} and state = 'active'"
            )
            started.set()
            await asyncio.sleep(0)


class Deadlocks(Background):
    """A session that locks the rows of a table in two halves and in no order of ours.

    Who waits for the first half and holds of the second is the victim: this session's own look for deadlocks
    comes too late to find one.
    """

    def __init__(self, table: str = "conversation_mappings") -> None:
        super().__init__()
        self.name = f"postgres deadlocks on {table}"
        self._half = _HALF.format(table=table)
        self._setting = ServerSetting(self.name, "deadlock_timeout", "50ms")

    async def strike(self, place: Place) -> None:
        """Have the server look for deadlocks before a worker's patience with a lock ends."""
        await self._setting.strike(place)
        await super().strike(place)

    async def heal(self, place: Place) -> None:
        """The reverse."""
        try:
            await super().heal(place)
        finally:
            await self._setting.heal(place)

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        await connection.execute("set deadlock_timeout = '1h'")
        half = 0
        while True:
            async with connection.transaction():
                await connection.execute(self._half, half)
                started.set()
                if await self._is_waited_for(connection):
                    await connection.execute(self._half, 1 - half)
            half = 1 - half
            await asyncio.sleep(_PAUSE_S)

    async def _is_waited_for(self, connection: Connection) -> bool:
        """Whether somebody waits for what we hold, soon: then it may hold what we want next."""
        for _ in range(10):
            await asyncio.sleep(_PAUSE_S)
            if await connection.fetchval(_IS_WAITED_FOR):
                return True
        return False


class FailingSerialisation(Background):
    """Transactions are serializable by default, and another session reads and writes what they do."""

    name = "postgres fails to serialise"

    def __init__(self, *tables: str) -> None:
        super().__init__()
        self._tables = tables or ("conversation_mappings", "message_tracking")
        self._setting = ServerSetting(self.name, "default_transaction_isolation", "serializable")

    async def strike(self, place: Place) -> None:
        """Set the level, then begin to write."""
        await self._setting.strike(place)
        await super().strike(place)

    async def heal(self, place: Place) -> None:
        """The reverse."""
        try:
            await super().heal(place)
        finally:
            await self._setting.heal(place)

    async def _work(self, connection: Connection, started: asyncio.Event) -> None:
        while True:
            for table in self._tables:
                try:
                    async with connection.transaction(isolation="serializable"):
                        await connection.execute(_TOUCH.format(table=table))
                except asyncpg.SerializationError:
                    pass  # it, too, may lose
                started.set()
                await asyncio.sleep(_PAUSE_S / 5)


_SESSIONS: Final = "from pg_stat_activity"
_IS_WAITED_FOR: Final = """
select exists (select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid)))
"""
_HALF: Final = """
select from {table} where get_bit(uuid_send(id), 120) = $1::int order by id desc limit 500 for update
"""
_TOUCH: Final = """
update {table} set updated_at = updated_at
where id in (select id from {table} order by id desc limit 50 for update skip locked)
"""


async def _connect(place: Place) -> Connection:
    return await asyncpg.connect(
        place.servers.database_url,
        timeout=_ANSWER_S,
        server_settings={"application_name": _OURS, "default_transaction_read_only": "off"},
    )


@asynccontextmanager
async def _session(place: Place) -> AsyncIterator[Connection]:
    connection = await _connect(place)
    try:
        yield connection
    finally:
        connection.terminate()


async def _until_answers(place: Place) -> None:
    async def answers() -> bool:
        try:
            async with _session(place) as connection:
                return bool(await connection.fetchval("select true"))
        except (asyncpg.PostgresError, OSError):
            return False

    await until(answers, timeout_s=_ANSWER_S)


def _kinds() -> Iterator[FaultKind]:
    yield from stop_kinds(Kind.POSTGRES, signal.SIGINT)
    makers: Sequence[Callable[[], Fault]] = (
        ConnectionLimit,
        ReadOnly,
        Deadlocks,
        partial(Deadlocks, "message_tracking"),
        CancelledStatements,
        FailingSerialisation,
    )
    for make in makers:
        yield FaultKind(make().name, partial(_make, make), lasts_s=(2.0, 10.0))
    locking = partial(LockedTables, "conversation_mappings", "message_tracking")
    yield FaultKind(locking().name, partial(_make, locking), lasts_s=(6.0, 12.0))


def _make(make: Callable[[], Fault], _: Random) -> Fault:
    return make()


KINDS: Final = tuple(_kinds())
