"""Servers from the machine's own binaries: prepare, start, wait until each answers, stop.

Owns what is the same for all three; each server's configuration is in the module of its name. Every process
is recorded the moment it exists, so that a crash of ours forgets none.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.stack import ports, postgres, probes, processes, rabbitmq, redis
from deploy.stack.machine import Machine
from deploy.stack.plan import Plan
from deploy.stack.records import Kind, ServerRecord, Source, StackState
from deploy.stack.tail import last_lines
from shared.errors import StackError

_START_TIMEOUT_S = 90.0
_STOP_GRACE_S = 10.0
_POLL_S = 0.1
_AGAIN_S = 0.5
_AGAIN_FOR_S = 15.0
_READY_MARK = "ready"


@dataclass(frozen=True, slots=True)
class _Recipe:
    prepare: Callable[[Path, Sequence[int], str, Machine], Plan]
    programs: Sequence[str]
    port_count: int
    #: RabbitMQ takes 6 s to end politely, and its data go with it.
    stop_signal: signal.Signals


_RECIPES = {
    Kind.RABBITMQ: _Recipe(rabbitmq.prepare, rabbitmq.PROGRAMS, rabbitmq.PORTS, signal.SIGKILL),
    Kind.POSTGRES: _Recipe(postgres.prepare, postgres.PROGRAMS, postgres.PORTS, signal.SIGINT),
    Kind.REDIS: _Recipe(redis.prepare, redis.PROGRAMS, redis.PORTS, signal.SIGTERM),
}


def is_installed(kind: Kind, machine: Machine) -> bool:
    """Whether every program that this server needs is on the machine."""
    return all(machine.find(program) for program in _RECIPES[kind].programs)


def start(kind: Kind, state: StackState, machine: Machine, abandon: threading.Event) -> ServerRecord:
    """Start one server and wait until it answers: on its earlier ports and data, where it had any.

    A failure is tried again: on the earlier ports for a while (children of a server that was killed may take
    their time to go), then on others (somebody may have taken one). Raises StackError with the end of the
    server's log when it does not come up; then none of its processes is left.
    """
    earlier = state.servers.get(kind)
    count = _RECIPES[kind].port_count
    wanted = ports.wanted(state.root, kind, count, earlier.ports if earlier else ())
    until = time.monotonic() + (_AGAIN_FOR_S if earlier else 0)
    while True:
        try:
            return _attempt(kind, state, machine, abandon, wanted)
        except StackError:
            if abandon.wait(_AGAIN_S):
                raise
        if time.monotonic() > until:
            return _attempt(kind, state, machine, abandon, ())


def is_running(server: ServerRecord) -> bool:
    """Whether every recorded process lives. True for a server without any, which is judged by its answers."""
    return all(processes.is_alive(ref) for ref in server.processes)


def end(server: ServerRecord, how: signal.Signals | None = None) -> None:
    """End a server's processes and keep its data. Nothing happens to what is gone already.

    `how`: the signal that ends them, where it is not to be the quickest one that harms nothing.
    """
    processes.stop(server.processes, how or _RECIPES[server.kind].stop_signal, _STOP_GRACE_S)


def stop(server: ServerRecord) -> None:
    """End a server's processes and remove its data."""
    end(server)
    if server.data is not None:
        shutil.rmtree(server.data, ignore_errors=True)


def _attempt(
    kind: Kind, state: StackState, machine: Machine, abandon: threading.Event, wanted_ports: Sequence[int]
) -> ServerRecord:
    recipe = _RECIPES[kind]
    home = _home(state, kind)
    chosen = ports.choose(recipe.port_count, wanted_ports)
    plan = recipe.prepare(home, chosen, state.password, machine)
    server = ServerRecord(
        kind,
        Source.NATIVE,
        plan.url,
        plan.management_url,
        ports=chosen,
        data=str(plan.data),
        metrics=plan.metrics,
    )
    for command in plan.commands:
        server = replace(server, processes=(*server.processes, processes.spawn(command)))
        state.record(server)
    problem = _wait_for(server, abandon)
    if problem is None:
        (home / _READY_MARK).touch()
        return server
    processes.stop(server.processes, signal.SIGKILL, _STOP_GRACE_S)
    raise StackError(f"{kind} did not start: {problem}\n{last_lines(plan.log)}".rstrip())


def _home(state: StackState, kind: Kind) -> Path:
    """The server's directory. Data that may be half-written, or whose password is lost, are thrown away."""
    home = state.directory / kind
    known = state.servers.get(kind)
    if known is None or not (home / _READY_MARK).exists():
        for stale in {home, Path(known.data) if known is not None and known.data else home}:
            shutil.rmtree(stale, ignore_errors=True)
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def _wait_for(server: ServerRecord, abandon: threading.Event) -> str | None:
    """None once the server answers, else why it will not."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    problem: str | None = "no answer"
    while time.monotonic() < deadline:
        if not is_running(server):
            return "its process ended"
        if (problem := probes.failure(server)) is None:
            return None
        if abandon.wait(_POLL_S):
            return "interrupted"
    return f"{problem} for {_START_TIMEOUT_S:.0f} s"
