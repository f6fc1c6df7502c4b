"""Up, down and status of a stack: what `wabus stack` does, for programs and tests too."""

import os
import secrets
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.stack import docker, native, probes
from deploy.stack.lock import locked
from deploy.stack.machine import Machine
from deploy.stack.parallel import act_on_all
from deploy.stack.records import Kind, ServerRecord, StackState, load
from deploy.stack.starter import Progress, Starter, stop
from shared.masking import mask_url
from shared.settings.environment import read_variable


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One server as `wabus stack status` shows it: `state` is running, stopped, unreachable or absent."""

    server: Kind
    state: str
    source: str
    url: str
    pid: int | None
    detail: str


def up(
    root: Path, environ: Mapping[str, str], progress: Progress, machine: Machine | None = None
) -> StackState:
    """Bring up the stack of `root` and write `.stack/env`. What runs already is left alone.

    Blocks until each server answers. Raises StackError when one cannot be had; the others keep running and
    the next `up` carries on from there.
    """
    with locked(root, progress):
        state = load(root.resolve(), fresh_password=secrets.token_hex(16))
        state.directory.mkdir(mode=0o711, exist_ok=True)
        Starter(state, environ, progress, machine or Machine(path=environ.get("PATH", os.defpath))).run()
        state.write_env()
        return state


def missing_servers(environ: Mapping[str, str], machine: Machine) -> list[Kind]:
    """The servers that `up` would have to install: not named, not in Docker, not on the machine."""
    if docker.find_engine(environ) is not None:
        return []
    unnamed = [kind for kind in Kind if not read_variable(environ, kind.variable, secret=True)]
    return [kind for kind in unnamed if not native.is_installed(kind, machine)]


def down(root: Path, progress: Progress, environ: Mapping[str, str] | None = None) -> None:
    """Stop every server that `up` started for `root`, whatever the environment names; remove `.stack/`.

    Does nothing where there is no stack. Raises StackError when something does not end.
    """
    with locked(root, progress):
        state = load(root.resolve(), fresh_password="")
        ours = [server for server in state.servers.values() if server.is_ours]
        act_on_all(
            lambda server: stop(server, state, environ or os.environ, progress), ours, threading.Event()
        )
        if state.directory.is_dir():
            shutil.rmtree(state.directory)


def status(root: Path) -> list[StatusRow]:
    """One row per server, whether it answers now; nothing is changed."""
    state = load(root.resolve(), fresh_password="")
    with ThreadPoolExecutor(len(Kind)) as pool:
        return list(pool.map(lambda kind: _row(kind, state.servers.get(kind)), Kind))


def _row(kind: Kind, server: ServerRecord | None) -> StatusRow:
    if server is None:
        return StatusRow(kind, "absent", "", "", None, "")
    pid = server.processes[-1].pid if server.processes else None
    problem = probes.failure(server)
    state = "running" if problem is None else "unreachable" if native.is_running(server) else "stopped"
    return StatusRow(kind, state, server.source, mask_url(server.url), pid, problem or "")
