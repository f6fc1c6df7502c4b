"""The local stack on real servers: one whole stack for the module, and Redis alone where that is enough.

The session's own servers stand for the second checkout, and for servers that an environment names.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy import stack
from deploy.stack import Kind, Machine, ServerRecord, Source, StackState, probes, processes
from deploy.stack.packages import APT, PackageManager
from deploy.stack.processes import ProcessRef, identify
from deploy.stack.records import load
from shared.errors import StackError
from tests.support import stand_in_docker
from tests.support.servers import Servers

WABUS_STACK = [sys.executable, "-c", "from deploy.commands.stack import stack; stack()"]
#: Of Linux' table of TCP sockets: the state, and 127.0.0.1 and ::1 as little-endian words.
_LISTENS = "0A"
_LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
BARE_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


def silent(_line: str) -> None:
    """Progress that nobody reads."""


def answers(server: ServerRecord) -> bool:
    """Whether the server can be logged in to."""
    return probes.failure(server) is None


def ask(url: str, sql: str) -> object:
    """The first value of a statement's result."""

    async def fetch() -> object:
        session = await asyncpg.connect(url)
        try:
            return await session.fetchval(sql)
        finally:
            await session.close()

    return asyncio.run(fetch())


def living_processes_of(root: Path) -> list[int]:
    """Pids whose command line or working directory is below `root`, found without the stack's own records."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and identify(int(process.name)):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                place = str((process / "cwd").readlink())
            except OSError:
                continue
            if str(root) in words or place.startswith(str(root)):
                found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A whole stack, started with its output piped, below a folder that only its owner enters."""
    locked = tmp_path_factory.mktemp("only for root")
    root = locked / "check out"
    root.mkdir()
    locked.chmod(0o700)
    try:
        piped = subprocess.run(
            [*WABUS_STACK, "up", "--root", str(root)],
            env={"PATH": BARE_PATH, "HOME": str(locked)},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert piped.returncode == 0, piped.stderr
        yield root
    finally:
        stack.down(root, silent)


@pytest.fixture
def only_redis(servers: Servers) -> dict[str, str]:
    """An environment that names all servers but Redis."""
    return {"PATH": BARE_PATH, "RABBITMQ_URL": servers.rabbitmq_url, "DATABASE_URL": servers.database_url}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty checkout, brought down at the end."""
    yield tmp_path
    stack.down(tmp_path, silent)


def test_up_writes_urls_that_a_shell_can_source(checkout: Path) -> None:
    script = 'set -a; . "$1"; echo "$RABBITMQ_URL $DATABASE_URL $REDIS_URL"'
    sourced = subprocess.run(
        ["sh", "-c", script, "sh", checkout / ".stack" / "env"], capture_output=True, text=True, check=True
    )
    state = load(checkout, fresh_password="")

    assert sourced.stdout.split() == [state.servers[kind].url for kind in Kind]
    assert all(answers(server) for server in state.servers.values())


def test_only_their_owner_may_read_the_urls_with_their_passwords(checkout: Path) -> None:
    for name in ("env", "state.json"):
        assert (checkout / ".stack" / name).stat().st_mode & 0o077 == 0


def test_up_a_second_time_changes_nothing(checkout: Path) -> None:
    before = load(checkout, fresh_password="").servers
    after = stack.up(checkout, {"PATH": BARE_PATH}, silent).servers

    assert after == before


def test_urls_of_its_own_env_file_are_its_own_servers(checkout: Path) -> None:
    urls = load(checkout, fresh_password="").urls()
    state = stack.up(checkout, {"PATH": BARE_PATH, **urls}, silent)

    assert {server.source for server in state.servers.values()} == {Source.NATIVE}


def test_two_stacks_run_side_by_side(checkout: Path, servers: Servers) -> None:
    state = load(checkout, fresh_password="")
    theirs = {servers.rabbitmq_url, servers.database_url, servers.redis_url}

    assert theirs.isdisjoint(server.url for server in state.servers.values())
    assert all(answers(server) for server in state.servers.values())
    assert answers(ServerRecord(Kind.RABBITMQ, Source.ENVIRONMENT, servers.rabbitmq_url))


def test_status_tells_where_each_server_is_without_its_password(checkout: Path) -> None:
    state = load(checkout, fresh_password="")
    rows = stack.status(checkout)

    assert [(row.server, row.state, row.source) for row in rows] == [
        (kind, "running", "native") for kind in Kind
    ]
    assert all(identify(row.pid) for row in rows if row.pid is not None)
    assert not [row for row in rows if state.password in row.url]


def test_servers_listen_on_loopback_only(checkout: Path) -> None:
    ports = {port for server in load(checkout, fresh_password="").servers.values() for port in server.ports}
    tables = "".join(Path("/proc/net", family).read_text() for family in ("tcp", "tcp6"))
    sockets = [line.split() for line in tables.splitlines()]
    addresses = [fields[1].split(":") for fields in sockets if fields[3] == _LISTENS]
    hosts = {host for host, port in addresses if int(port, 16) in ports}

    assert hosts <= _LOOPBACK
    assert {int(port, 16) for _, port in addresses} >= ports


def test_servers_that_were_killed_come_back_with_their_data_and_urls(checkout: Path) -> None:
    # given a table, and servers that die, of which one leaves a child that takes its time to go
    before = load(checkout, fresh_password="")
    ask(before.servers[Kind.POSTGRES].url, "create table kept as select 42 as answer")
    postgres = before.servers[Kind.POSTGRES].processes[-1]
    # the oldest: a session's own, of whoever asked last, may be going just now
    child = min(ref.pid for ref in processes.family([postgres]) if ref != postgres)
    os.kill(child, signal.SIGSTOP)
    for kind in (Kind.POSTGRES, Kind.REDIS):
        os.kill(before.servers[kind].processes[-1].pid, signal.SIGKILL)
    going = threading.Timer(3.0, os.kill, (child, signal.SIGCONT))
    going.start()

    # when the stack is brought up again
    after = stack.up(checkout, {"PATH": BARE_PATH}, silent)
    going.join()

    # then all is as it was, save for the processes
    assert after.urls() == before.urls()
    assert after.servers[Kind.RABBITMQ] == before.servers[Kind.RABBITMQ]
    assert after.servers[Kind.REDIS].processes != before.servers[Kind.REDIS].processes
    assert ask(after.servers[Kind.POSTGRES].url, "select answer from kept") == 42


def test_down_leaves_no_process_and_no_data_whatever_the_environment_names(
    checkout: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a running stack, epmd among its processes, and an environment that names other servers
    state = load(checkout, fresh_password="")
    recorded = [ref for server in state.servers.values() for ref in server.processes]
    family = processes.family(recorded)
    assert len(recorded) == 4
    assert set(recorded) < family
    assert living_processes_of(checkout)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    monkeypatch.setenv("DATABASE_URL", servers.database_url)

    # when
    command = [*WABUS_STACK, "down", "--root", str(checkout)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    # then
    assert done.returncode == 0, done.stderr
    assert [ref for ref in family if processes.is_alive(ref)] == []
    assert living_processes_of(checkout) == []
    assert list(checkout.iterdir()) == []
    assert [row.state for row in stack.status(checkout)] == ["absent"] * 3


def test_servers_that_the_environment_names_are_used_and_left_alone(
    root: Path, only_redis: dict[str, str], servers: Servers
) -> None:
    state = stack.up(root, only_redis, silent)
    assert state.urls()["DATABASE_URL"] == servers.database_url
    sources = {kind: server.source for kind, server in state.servers.items()}
    assert sources[Kind.RABBITMQ] is sources[Kind.POSTGRES] is Source.ENVIRONMENT
    assert sources[Kind.REDIS] is Source.NATIVE

    stack.down(root, silent)

    assert not answers(state.servers[Kind.REDIS])
    assert answers(state.servers[Kind.RABBITMQ])
    assert answers(state.servers[Kind.POSTGRES])


def test_our_own_server_gives_way_to_one_that_the_environment_names_later(
    root: Path, only_redis: dict[str, str], servers: Servers
) -> None:
    first = stack.up(root, only_redis, silent).servers[Kind.REDIS]
    second = stack.up(root, {**only_redis, "REDIS_URL": servers.redis_url}, silent).servers[Kind.REDIS]

    assert second.url == servers.redis_url
    assert not any(processes.is_alive(ref) for ref in first.processes)


def test_a_named_server_that_does_not_answer_is_told_without_its_password(
    root: Path, only_redis: dict[str, str]
) -> None:
    with pytest.raises(StackError, match=r"REDIS_URL names redis://.*127.0.0.1:1/0, which does not") as told:
        stack.up(root, {**only_redis, "REDIS_URL": "redis://:hush@127.0.0.1:1/0"}, silent)
    assert "hush" not in str(told.value)


def test_two_at_once_start_each_server_once(root: Path, only_redis: dict[str, str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        ups = [pool.submit(stack.up, root, only_redis, silent) for _ in range(2)]
        first, second = (up.result() for up in ups)
    assert first.servers == second.servers
    assert len(living_processes_of(root)) == 1


def test_a_server_has_the_same_port_each_time_and_another_one_where_that_is_taken(
    root: Path, only_redis: dict[str, str]
) -> None:
    said: list[str] = []

    first = stack.up(root, only_redis, said.append).servers[Kind.REDIS]
    stack.down(root, silent)
    second = stack.up(root, only_redis, said.append).servers[Kind.REDIS]
    stack.down(root, silent)

    assert second.ports == first.ports
    assert not [line for line in said if "taken" in line]

    with socket.create_server(("127.0.0.1", first.ports[0])):
        third = stack.up(root, only_redis, said.append).servers[Kind.REDIS]

    assert third.ports != first.ports
    assert f"redis: port {first.ports[0]} is taken, it has {third.ports[0]} now" in said


def test_leftovers_of_a_crash_are_overcome(root: Path, only_redis: dict[str, str]) -> None:
    # given half-written state and data of a server that never came up
    directory = root / ".stack"
    (directory / "redis").mkdir(parents=True)
    (directory / "redis" / "dump.rdb").write_text("not a dump")
    (directory / "state.json").write_text('{"password": "x", "serv')
    (directory / "env").write_text("REDIS_URL=")

    state = stack.up(root, only_redis, silent)

    assert answers(state.servers[Kind.REDIS])
    assert state.servers[Kind.REDIS].url in (directory / "env").read_text()


def test_a_pid_that_is_somebody_elses_by_now_is_not_signalled(root: Path) -> None:
    # given a record whose pid the kernel gave to this very process
    (root / ".stack").mkdir()
    stale = ProcessRef(os.getpid(), started="long ago")
    state = StackState(root, password="x")
    state.record(ServerRecord(Kind.REDIS, Source.NATIVE, "redis://127.0.0.1:1/0", processes=(stale,)))

    stack.down(root, silent)

    assert not (root / ".stack").exists()


def test_down_where_nothing_is_up_does_nothing(root: Path) -> None:
    stack.down(root, silent)
    assert list(root.iterdir()) == []


def test_missing_programs_are_named_with_their_packages(root: Path) -> None:
    bare = Machine(path="", directories=(), package_manager=None)
    with pytest.raises(StackError, match=r"rabbitmq-server .*postgresql .*redis-server"):
        stack.up(root, {"PATH": ""}, silent, machine=bare)


def test_packages_that_cannot_be_installed_are_named_with_the_reason(
    root: Path, only_redis: dict[str, str]
) -> None:
    broken = PackageManager(
        name="apt-get", packages=APT.packages, script='echo "no route for $*"; exit 100', needs_root=False
    )
    bare = Machine(path="", directories=(), package_manager=broken)
    with pytest.raises(
        StackError, match=re.compile("apt-get install redis-server.*no route for redis-server", re.S)
    ):
        stack.up(root, {**only_redis, "PATH": ""}, silent, machine=bare)


def test_missing_packages_are_installed_and_then_used(
    root: Path, only_redis: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = tmp_path_factory.mktemp("bin")
    script = f'[ "$*" = redis-server ] && ln -s "{shutil.which("redis-server")}" "{installed}/redis-server"'
    manager = PackageManager(name="apt-get", packages=APT.packages, script=script, needs_root=False)
    bare = Machine(path=BARE_PATH, directories=(str(installed),), package_manager=manager)
    bare_without_path = Machine(path="", directories=bare.directories, package_manager=manager)
    state = stack.up(root, {**only_redis, "PATH": ""}, silent, machine=bare_without_path)

    assert answers(state.servers[Kind.REDIS])


def test_a_server_that_does_not_start_shows_the_end_of_its_log(
    root: Path, only_redis: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("bin")
    (directory / "redis-server").write_text("#!/bin/sh\necho 'bad configuration'\nexit 1\n")
    (directory / "redis-server").chmod(0o755)
    machine = Machine(path=BARE_PATH, directories=(str(directory),), package_manager=None)
    with pytest.raises(StackError, match=re.compile("redis did not start: .*bad configuration", re.S)):
        stack.up(root, only_redis, silent, machine=machine)


@pytest.mark.skipif(os.geteuid() != 0, reason="not run: only root drops capabilities")
def test_data_lie_elsewhere_where_postgres_may_by_no_means_enter_the_checkout(
    root: Path, servers: Servers
) -> None:
    # given a folder that only root enters, and no capability that could help PostgreSQL's own user
    root.chmod(0o700)
    root.parent.chmod(0o700)
    environ = {"PATH": BARE_PATH, "RABBITMQ_URL": servers.rabbitmq_url, "REDIS_URL": servers.redis_url}
    incapable = ["setpriv", "--bounding-set=-dac_read_search", "--inh-caps=-dac_read_search"]

    done = subprocess.run(
        [*incapable, *WABUS_STACK, "up", "--root", str(root)],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    server = load(root, fresh_password="").servers[Kind.POSTGRES]
    assert answers(server)
    assert server.data is not None
    assert not Path(server.data).is_relative_to(root)
    stack.down(root, silent)

    assert not Path(server.data).exists()


def test_a_docker_engine_is_preferred_and_its_container_removed(
    root: Path, only_redis: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("docker")
    containers = stand_in_docker.install(directory)
    environ = {**only_redis, "PATH": f"{directory}:{BARE_PATH}"}

    first = stack.up(root, environ, silent).servers[Kind.REDIS]
    second = stack.up(root, environ, silent).servers[Kind.REDIS]

    assert first.source is Source.DOCKER
    assert second == first
    assert urlsplit(first.url).port == int((containers / "c0ffee").read_text().split()[1])
    assert answers(first)
    stack.down(root, silent, environ)

    assert list(containers.iterdir()) == []
    assert not answers(first)
