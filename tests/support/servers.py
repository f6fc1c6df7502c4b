"""Real servers for the tests of one session: the environment's, else Docker's, else the local stack's.

Owns their life and nothing in them: databases, virtual hosts and key spaces are each test's own. A session
that was killed leaves a root behind, which the next one brings down.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy import stack
from deploy.stack import Machine, docker
from deploy.stack.processes import ProcessRef, identify, is_alive
from deploy.stack.records import Kind, ServerRecord, StackState
from tests.support import containers

_ROOTS = Path(__file__).resolve().parents[2] / ".stack-tests"
_OWNER = "owner.json"
#: Where files are kept in memory, and the room there that those of all test processes never need.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = {Kind.POSTGRES: 1_000_000_000, Kind.RABBITMQ: 4_000_000_000}


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the session's servers answer; both RabbitMQ URLs hold the same login."""

    rabbitmq_url: str
    rabbitmq_management_url: str
    database_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class SessionStack:
    """The stack of this session: those of its servers that nobody else provides."""

    root: Path
    state: StackState


@pytest.fixture(scope="session")
def session_stack() -> Iterator[SessionStack]:
    """RabbitMQ, PostgreSQL and Redis for this session, ended with it however it ends (short of SIGKILL)."""
    with _interrupted_by_sigterm(), ExitStack() as cleanup:
        environ = dict(os.environ)
        if docker.find_engine(environ) is not None:
            environ |= containers.start_missing(environ, cleanup)
        root = cleanup.enter_context(stack_root())
        keep_rabbitmq_in_memory(root)
        yield SessionStack(root, _start(root, environ, quiet_machine(environ)))


@pytest.fixture(scope="session")
def servers(session_stack: SessionStack) -> Servers:
    """Where the session's servers answer."""
    return servers_of(session_stack.state.urls())


@contextmanager
def running_stack(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The URLs of a stack in a root of its own; servers that `environ` names are used and left alone.

    RabbitMQ writes to its disk, as where something is measured it must.
    """
    with stack_root() as root:
        yield _start(root, environ).urls()


def _start(root: Path, environ: Mapping[str, str], machine: Machine | None = None) -> StackState:
    state = stack.up(root, environ, _say_nothing, machine)
    if state.servers[Kind.POSTGRES].is_ours:
        keep_postgres_in_memory(root, state.servers[Kind.POSTGRES])
    return state


@contextmanager
def stack_root() -> Iterator[Path]:
    """A root for a stack, which is brought down at the end: by the next session if this one is killed."""
    _end_orphans()
    root = _ROOTS / f"{os.getpid()}-{os.urandom(4).hex()}"
    root.mkdir(parents=True)
    me = identify(os.getpid())
    assert me is not None
    (root / _OWNER).write_text(json.dumps([me.pid, me.started]))
    try:
        yield root
    finally:
        _end(root)


def quiet_machine(environ: Mapping[str, str]) -> Machine:
    """This machine, whose RabbitMQ sleeps as soon as it has nothing to do: others work on the same cores."""
    return _QuietMachine(path=environ.get("PATH", os.defpath))


class _QuietMachine(Machine):
    def server_environment(self, home: Path) -> Mapping[str, str]:
        """By default each of Erlang's schedulers looks for work a while longer, with a core to spare."""
        return {**super().server_environment(home), "ERL_FLAGS": "+sbwt none +sbwtdcpu none +sbwtdio none"}


def servers_of(urls: Mapping[str, str]) -> Servers:
    """The servers that the URLs of a stack name."""
    rabbitmq = urlsplit(urls["RABBITMQ_URL"])
    login = rabbitmq.netloc.rpartition("@")[0] or "guest:guest"
    return Servers(
        rabbitmq_url=urls["RABBITMQ_URL"],
        rabbitmq_management_url=urls.get(
            "RABBITMQ_MANAGEMENT_URL", f"http://{login}@{rabbitmq.hostname}:15672"
        ),
        database_url=urls["DATABASE_URL"],
        redis_url=urls["REDIS_URL"],
    )


def keep_rabbitmq_in_memory(root: Path) -> None:
    """Before the stack of `root` is up: a queue's log is written for each message, and waits for its disk.

    Its directory is a link, which the stack takes for the directory that it would make.
    """
    folder = _make_memory(root, Kind.RABBITMQ)
    if folder is not None:
        (root / ".stack").mkdir(mode=0o711)
        (root / ".stack" / Kind.RABBITMQ).symlink_to(folder)


def keep_postgres_in_memory(root: Path, server: ServerRecord) -> None:
    """After the stack of `root` is up: a database is 300 files, and each test makes one.

    Copies of `template1` lie where it lies. Those of `template0` stay on the disk: what is big is made of it.
    """
    asyncio.run(_make_cheap(server.url))
    folder = None if server.data is None else _make_memory(root, Kind.POSTGRES)
    if server.data is not None and folder is not None:
        account = Path(server.data).stat()
        os.chown(folder, account.st_uid, account.st_gid)
        asyncio.run(_keep_template(server.url, folder))


async def _make_cheap(database_url: str) -> None:
    """A commit outlives its server, not the machine: each test makes a database, which waits for disks.

    Thousands of connections are opened, and to check one password by SCRAM takes as long as all else of it.
    """
    connection = await asyncpg.connect(database_url)
    try:
        for setting in ("fsync = off", "full_page_writes = off", "password_encryption = md5"):
            await connection.execute(f"alter system set {setting}")
        await connection.execute("select pg_reload_conf()")
        await connection.execute("set password_encryption = md5")
        parts = urlsplit(database_url)
        await connection.execute(f"alter role {parts.username} password '{parts.password}'")
    finally:
        await connection.close()


async def _keep_template(database_url: str, folder: Path) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"create tablespace memory location '{folder}'")
        await connection.execute("alter database template1 set tablespace memory")
    finally:
        await connection.close()


def _make_memory(root: Path, kind: Kind) -> Path | None:
    """A server's folder in memory, which is gone with `root`; None where there is no room."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES[kind]:
        return None
    folder = _memory_of(root) / kind
    folder.parent.mkdir(mode=0o711, exist_ok=True)
    folder.mkdir(mode=0o700)
    return folder


def _memory_of(root: Path) -> Path:
    return _MEMORY / f"wabus-tests-{root.name}"


def _end_orphans() -> None:
    for root in _ROOTS.glob("*"):
        try:
            pid, started = json.loads((root / _OWNER).read_text())
        except (OSError, ValueError):
            continue
        if not is_alive(ProcessRef(pid, started)):
            with suppress(FileNotFoundError):  # another session is at it too
                _end(root)


def _end(root: Path) -> None:
    stack.down(root, progress=_say_nothing)
    shutil.rmtree(_memory_of(root), ignore_errors=True)
    shutil.rmtree(root)


def _say_nothing(_line: str) -> None:
    pass


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends pytest without its finalizers; taken as Ctrl-C, it runs them."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
