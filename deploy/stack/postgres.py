"""PostgreSQL from the machine's own binaries: durable settings, loopback only, an empty database `wabus`.

PostgreSQL refuses to run as root; root runs it as the system's `postgres` user. Where that user may not
enter the checkout, the server gets the capability to read and search past it, and where even that is denied
(some containers), its data lie outside of the checkout. `data` of the plan tells where.
"""

import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.stack.machine import Machine
from deploy.stack.plan import Plan
from deploy.stack.processes import Command
from shared.errors import StackError

PROGRAMS = ("postgres", "initdb")
PORTS = 1

_DATABASE = "wabus"
_OLDEST = 15
_ACCOUNT = "postgres"
#: Linux' PID_MAX_LIMIT, the first pid that no process ever has.
_NO_PID = 4_194_304
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def prepare(home: Path, ports: Sequence[int], password: str, machine: Machine) -> Plan:
    """Create the cluster and its database where there are none, and say what to run. Repeatable.

    Raises StackError when the installed PostgreSQL is too old, or when no account can run it.
    """
    server = machine.require("postgres")
    _check_version(server)
    prefix, data = _account(home, machine)
    environment = machine.server_environment(data)
    if not (data / "created").exists():
        _create_cluster([*prefix], data, password, server, environment)
    _release_lock(data / "cluster" / "postmaster.pid")
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    argv = [*prefix, str(server), "-D", str(data / "cluster"), "-p", str(ports[0]), *settings]
    log = home / "postgres.log"
    return Plan(
        commands=[Command(argv, environment, cwd=data, log=log)],
        url=f"postgresql://postgres:{password}@127.0.0.1:{ports[0]}/{_DATABASE}",
        log=log,
        data=data,
    )


def _create_cluster(
    prefix: list[str], data: Path, password: str, server: Path, environment: Mapping[str, str]
) -> None:
    cluster, secret = data / "cluster", data / "password"
    shutil.rmtree(cluster, ignore_errors=True)
    secret.write_text(password)
    secret.chmod(0o600)
    if prefix:
        shutil.chown(secret, _ACCOUNT)
    initdb = [
        str(server.with_name("initdb")),
        "-D",
        str(cluster),
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    initdb += ["--locale=C.UTF-8", "--auth=password", f"--pwfile={secret}"]
    _run([*prefix, *initdb], data, environment)
    single = [str(server), "--single", "-D", str(cluster), "template1"]
    _run([*prefix, *single], data, environment, f"CREATE DATABASE {_DATABASE}\n")
    secret.unlink()
    (data / "created").touch()


def _release_lock(lock: Path) -> None:
    """Let a server start over a killed one's lock file.

    PostgreSQL takes the pid in it for alive when it is a zombie's or somebody else's by now; ours is known to
    have ended. The rest of the file stays: by it PostgreSQL sees whether the shared memory is still in use.
    """
    if lock.exists():
        lock.write_text(re.sub(r"\A\d+", str(_NO_PID), lock.read_text()))


def _run(argv: list[str], cwd: Path, environment: Mapping[str, str], text: str = "") -> None:
    done = subprocess.run(
        argv,
        check=False,
        cwd=cwd,
        env=dict(environment),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise StackError(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout).strip()}")


def _check_version(server: Path) -> None:
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    major = re.search(r"(\d+)", told)
    if major is None or int(major[1]) < _OLDEST:
        raise StackError(f"{server} is {told.strip() or 'unusable'}; PostgreSQL {_OLDEST} or newer is needed")


def _account(home: Path, machine: Machine) -> tuple[Sequence[str], Path]:
    """The words that make a command run as the right account, and the directory it may write to."""
    if machine.user_id != 0:
        return (), home
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise StackError(
            f"PostgreSQL does not run as root and this system has no user {_ACCOUNT!r}"
        ) from None
    drop = [str(machine.require("setpriv")), f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups"]
    shutil.chown(home, _ACCOUNT)
    search = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for prefix in ([*drop, "--"], [*drop, *search, "--"]):
        # not `test -w`: access(2) leaves capabilities out of account
        asked = subprocess.run([*prefix, "touch", str(home / "entered")], check=False, capture_output=True)
        if asked.returncode == 0:
            return prefix, home
    return [*drop, "--"], _outside(home)


def _outside(home: Path) -> Path:
    """A directory away from `home` that the account may enter; `home` remembers which."""
    pointer = home / "elsewhere"
    if pointer.exists():
        return Path(pointer.read_text())
    outside = Path(tempfile.mkdtemp(prefix="wabus-postgres-"))
    shutil.chown(outside, _ACCOUNT)
    pointer.write_text(str(outside))
    return outside
