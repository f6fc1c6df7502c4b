"""One server of a running stack by itself: ended, started again, told something.

For those who try faults on it. Works on processes of this machine that the stack started; Docker's and the
environment's servers are refused with a StackError. Every call blocks.
"""

import os
import signal
import subprocess
import threading
from pathlib import Path

from deploy.stack import native, probes, rabbitmq
from deploy.stack.lock import locked
from deploy.stack.machine import Machine
from deploy.stack.records import Kind, ServerRecord, Source, StackState, load
from shared.errors import StackError

_EVALUATION_S = 120.0


def end_server(root: Path, kind: Kind, how: signal.Signals) -> None:
    """End a server with a signal; its data and its ports stay its own. Returns when it is gone."""
    with locked(root, _say_nothing):
        _, server = _read(root, kind)
        native.end(server, how)


def start_server(root: Path, kind: Kind) -> None:
    """Start a server that was ended, on its earlier ports and data; one that answers is left alone.

    Raises StackError where it does not come up, or had to take other ports.
    """
    with locked(root, _say_nothing):
        state, server = _read(root, kind)
        if native.is_running(server) and probes.failure(server) is None:
            return
        native.end(server, signal.SIGKILL)
        started = native.start(kind, state, _machine(), threading.Event())
        if started.ports != server.ports:
            raise StackError(f"{kind} came back on other ports: {started.ports} in place of {server.ports}")


def evaluate_in_rabbitmq(root: Path, expression: str) -> None:
    """Have the stack's broker evaluate Erlang, which ends with a full stop. Raises StackError where it fails.

    As `rabbitmqctl eval` does, which boots an Erlang of its own for each call: half a second of a core.
    """
    with locked(root, _say_nothing):
        _, server = _read(root, Kind.RABBITMQ)
    assert server.data is not None
    machine, home = _machine(), Path(server.data)
    address = f"127.0.0.1:{server.ports[rabbitmq.DISTRIBUTION]}"
    try:
        done = subprocess.run(
            [str(machine.require("erl_call")), "-address", address, "-R", "-e"],
            check=False,
            env=machine.server_environment(home),  # its cookie lies there
            cwd=home,
            input=f"{expression}\n",
            capture_output=True,
            text=True,
            timeout=_EVALUATION_S,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"rabbitmq did not evaluate {expression} within {_EVALUATION_S:g} s") from None
    if not done.stdout.startswith("{ok,"):
        raise StackError(f"rabbitmq could not evaluate {expression}: {(done.stderr or done.stdout).strip()}")


def _read(root: Path, kind: Kind) -> tuple[StackState, ServerRecord]:
    state = load(root.resolve(), fresh_password="")
    server = state.servers.get(kind)
    if server is None or server.source is not Source.NATIVE:
        raise StackError(f"{kind} is no process that the stack of {root} started")
    return state, server


def _machine() -> Machine:
    return Machine(path=os.environ.get("PATH", os.defpath))


def _say_nothing(_line: str) -> None:
    pass
