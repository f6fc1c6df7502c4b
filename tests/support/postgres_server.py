"""A PostgreSQL of one test's own, and its streaming standby; PgBouncer before any PostgreSQL.

Neither runs as root: root runs them as the system's `postgres`, in a folder that it may enter.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from tests.support.checkers import checker

_START_S: Final = 30.0
_ACCOUNT: Final[dict[str, Any]] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
_SETTINGS: Final = (
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=16MB",
)


class PostgresServer:
    """One cluster on a free port, whose superuser `postgres` needs no password."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(["-p", str(self.port), *(f"-c {setting}" for setting in _SETTINGS)])
        _run("pg_ctl", "start", "-w", "-D", self.data, "-o", options, "-l", self.data.parent / "log")

    def stop(self) -> None:
        """End it at once, as a power cut does."""
        _run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def promote(self) -> None:
        """Let a standby take writes."""
        _run("pg_ctl", "promote", "-w", "-D", self.data)


@contextmanager
def primary_and_standby() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """Two running servers, the second a copy of the first that follows it."""
    with _folder() as folder:
        primary = PostgresServer(folder / "primary" / "data")
        standby = PostgresServer(folder / "standby" / "data")
        _run("initdb", "-D", primary.data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8")
        primary.start()
        try:
            source = f"host=127.0.0.1 port={primary.port} user=postgres"
            _run("pg_basebackup", "-D", standby.data, "-R", "-c", "fast", "-d", source)
            standby.start()
            try:
                yield primary, standby
            finally:
                standby.stop()
        finally:
            primary.stop()


@contextmanager
def installed_server() -> Iterator[PostgresServer]:
    """One whose settings stand in its own files, as an installation's do: a bare `pg_ctl` starts it anew.

    Its folder holds what else its account should be able to write.
    """
    with _folder() as folder:
        server = PostgresServer(folder / "data")
        _run("initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8")
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.writelines(
                f"{name} = '{value}'\n"
                for name, _, value in (setting.partition("=") for setting in _SETTINGS)
            )
            settings.write(f"port = {server.port}\n")
        _run("pg_ctl", "start", "-w", "-D", server.data, "-l", folder / "log")
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop()


def run_as_server(script: str, environ: Mapping[str, str]) -> None:
    """Run a shell's script as the account that servers run as, in an environment. Raises where it fails."""
    subprocess.run(
        ["sh", "-e"], input=script, text=True, cwd="/", env=dict(environ), check=True, timeout=60, **_ACCOUNT
    )


@contextmanager
def pgbouncer(server_url: str, logins: dict[str, str], ignored: str = "") -> Iterator[str]:
    """PgBouncer in transaction mode, with three sessions for all: the URL of the database by way of it.

    `ignored`: settings of a session that it passes over; it refuses others.
    """
    program = checker("pgbouncer")
    parts = urlsplit(server_url)
    port = _free_port()
    with _folder() as folder:
        users = folder / "users"
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in logins.items()))
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
            f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = 3\n"
            f"ignore_startup_parameters = {ignored}\n"
        )
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                [program, str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_ACCOUNT
            )
        try:
            _wait_for_port(port)
            login = parts.netloc.rpartition("@")[0]
            yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        finally:
            running.terminate()
            running.wait()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wabus-test-postgres-"))
    if _ACCOUNT:
        shutil.chown(folder, "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(program: str, *words: str | Path | int) -> None:
    done = subprocess.run(
        [checker("initdb").with_name(program), *map(str, words)],
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        **_ACCOUNT,
    )
    assert done.returncode == 0, f"{program} failed"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.01)
        else:
            return
