"""Processes of the stack: known by pid and start time, ended with all their children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack import processes
from deploy.stack.processes import Command, ProcessRef
from shared.errors import StackError
from tests.support.checkers import checker

#: Ignores SIGTERM, has a child that does too, says when both are ready.
STUBBORN = (
    "trap '' TERM; (trap '' TERM; echo ready; while :; do sleep 0.1; done) & while :; do sleep 0.1; done"
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[ProcessRef]:
    """A stubborn server with a child, both running."""
    log = tmp_path / "log"
    ref = processes.spawn(Command(["/bin/sh", "-c", STUBBORN], {"PATH": os.defpath}, tmp_path, log))
    deadline = time.monotonic() + 10
    while "ready" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield ref
    processes.stop([ref], signal.SIGKILL, grace_s=5)


def test_a_process_is_known_again_while_it_lives(started: ProcessRef) -> None:
    assert processes.identify(started.pid) == started
    assert processes.is_alive(started)


def test_another_start_time_is_another_process(started: ProcessRef) -> None:
    somebody_else = ProcessRef(started.pid, started="earlier")
    assert not processes.is_alive(somebody_else)
    processes.stop([somebody_else], signal.SIGKILL, grace_s=1)

    assert processes.is_alive(started)


def test_what_ignores_the_polite_signal_is_killed_with_its_children(started: ProcessRef) -> None:
    everyone = processes.family([started])
    assert len(everyone) >= 2
    processes.stop([started], signal.SIGTERM, grace_s=0.2)

    assert not [ref for ref in everyone if processes.is_alive(ref)]


def test_a_server_shares_nothing_with_its_starter(started: ProcessRef) -> None:
    assert os.getsid(started.pid) != os.getsid(0)
    streams = [os.readlink(f"/proc/{started.pid}/fd/{number}") for number in range(3)]

    assert streams[0] == os.devnull
    assert streams[1] == streams[2]
    assert streams[1].endswith("/log")


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.identify(child.pid) is None
    finally:
        child.wait()


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    nowhere = Command(["true"], {"PATH": os.defpath}, tmp_path / "missing", tmp_path / "log")
    with pytest.raises(StackError, match=r"cannot start true: .*missing"):
        processes.spawn(nowhere)


def test_ps_tells_the_same_as_proc() -> None:
    checker("ps")

    rows = {row.ref.pid: row.parent for row in processes._table_of_ps(None)}

    assert rows[os.getpid()] == os.getppid()
