"""A demo from nothing to nothing: servers had, a day performed, servers gone. And one that is left running.

Owns what exists before and after a run. None of it may be called inside a running event loop: the
stack's checks run loops of their own.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy import stack
from deploy.demo.day import Day
from deploy.demo.demo_run import play_day
from deploy.demo.interruption import run_interruptibly, sigterm_as_interrupt, undisturbed
from deploy.demo.judging import NotJudgedError, describe
from deploy.demo.preparation import prepare
from deploy.demo.programs import wanted_ports
from deploy.demo.progress import Look, Progress
from deploy.demo.report import DemoResult, Report
from deploy.demo.state import DemoState, logs_of, read_state
from deploy.demo.watching import write_config
from deploy.stack import ports, processes
from deploy.stack.lock import locked
from deploy.stack.processes import Command
from deploy.stack.tail import last_lines
from shared.errors import StackError
from workers.registry import WORKER_NAMES

_GRACE_S: Final = 45.0
_READY_S: Final = 90.0
_LOOK_S: Final = 0.1


def play(root: Path, environ: Mapping[str, str], day: Day, progress: Progress) -> Report:
    """Play a day on a stack that is started for it, and leave nothing running, whatever happens.

    A stack that runs already is used and stays. Raises StackError where another demo is up here or there are
    no servers, NotJudgedError where the demo itself fails.
    """
    state = read_state(root)
    if state is not None and state.is_kept:
        raise StackError("a demo is running here already: end it with `make down`")
    with sigterm_as_interrupt(), _servers(root, environ, progress) as (urls, stack_s):
        try:
            report = run_interruptibly(play_day(root, urls, environ, day, progress))
        except StackError:
            raise
        except Exception as error:  # of the demo's own, whatever it is
            logs = _keep_logs(root)
            (logs / "demo.log").write_text("".join(traceback.format_exception(error)))
            raise NotJudgedError(f"{describe(error)}; logs: {logs}") from error
        report = replace(report, seconds={"servers": stack_s, **report.seconds})
        is_kept = report.result is DemoResult.KEPT
        return report if is_kept else replace(report, logs=_keep_logs(root))


def bring_up(root: Path, environ: Mapping[str, str], progress: Progress) -> DemoState:
    """Start servers, sandbox and workers, and leave them running; what runs already is left alone."""
    urls = stack.up(root, environ, progress.say).urls()
    progress.show(Look("preparing the servers and starting the processes"))
    run_interruptibly(prepare(urls))
    with locked(root, progress.say):
        state = read_state(root)
        if state is None or not state.is_kept:
            _end_orphans(state)
            _spawn_keeper(root, urls, environ)
        state = _wait_ready(root)
        write_config(root)
    wanted = wanted_ports(root)
    for name, url in state.urls.items():
        for line in ports.describe_moves(name, [wanted[name]], [urlsplit(url).port or 0]):
            progress.say(line)
    return state


def bring_down(root: Path, progress: Progress) -> None:
    """End every process of a demo here, and the stack. Does nothing where there is neither."""
    state = read_state(root)
    if state is not None:
        processes.stop([state.keeper], signal.SIGTERM, _GRACE_S)
        _end_orphans(state)
        progress.say("workers and sandbox: stopped")
    stack.down(root, progress.say)


@contextmanager
def _servers(
    root: Path, environ: Mapping[str, str], progress: Progress
) -> Iterator[tuple[Mapping[str, str], float]]:
    """The URLs of a stack, and how long it took to start; what was started is stopped again."""
    was_up = any(row.state == "running" for row in stack.status(root))
    started = time.monotonic()
    try:
        _end_orphans(read_state(root))
        urls = stack.up(root, environ, progress.say).urls()
        yield urls, round(time.monotonic() - started, 1)
    finally:
        if not was_up:
            with undisturbed():
                stack.down(root, progress.say)


def _end_orphans(state: DemoState | None) -> None:
    """Processes of a demo that was killed."""
    if state is not None and not state.is_kept:
        processes.stop(state.programs.values(), signal.SIGTERM, _GRACE_S)


def _spawn_keeper(root: Path, urls: Mapping[str, str], environ: Mapping[str, str]) -> None:
    logs = logs_of(root)
    logs.mkdir(parents=True, exist_ok=True)
    kept = {name: environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if name in environ}
    argv = (sys.executable, "-m", "deploy.demo.keeping", str(root))
    processes.spawn(Command(argv, kept | dict(urls), root, logs / "keeper.log"))


def _wait_ready(root: Path) -> DemoState:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        state = read_state(root)
        if state is not None and state.is_kept and set(WORKER_NAMES) <= state.urls.keys():
            return state
        time.sleep(_LOOK_S)
    raise StackError(
        f"the workers are not ready after {_READY_S:.0f} s\n{last_lines(logs_of(root) / 'keeper.log')}"
    )


def _keep_logs(root: Path) -> Path:
    """A copy of the processes' logs that outlives the stack's directory."""
    kept = Path(tempfile.mkdtemp(prefix="wabus-demo-"))
    if logs_of(root).exists():
        shutil.copytree(logs_of(root), kept, dirs_exist_ok=True)
    os.chmod(kept, 0o700)
    return kept
