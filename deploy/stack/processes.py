"""Processes of our own: start them detached, recognise them later, end them with all their children.

A process is known by its pid and start time together, so that a pid which the kernel gave to somebody else
in the meantime is never signalled. Nothing here looks at process names.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StackError

#: Starts "$@" in the background of a shell that ends at once, so that the server belongs to no caller.
_DETACH = 'log=$1; cd "$2" && shift 2 && { exec "$@" </dev/null >>"$log" 2>&1 & echo $!; }'
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that was alive once: its pid, and its start time as the system tells it."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Command:
    """A server to run: its words, its whole environment, where it runs and where its output goes."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path


@dataclass(frozen=True, slots=True)
class _Row:
    ref: ProcessRef
    parent: int


def spawn(command: Command) -> ProcessRef:
    """Start a command in a session of its own, with none of the caller's streams. Does not wait for it."""
    shell = ["/bin/sh", "-c", _DETACH, "detach", str(command.log), str(command.cwd), *command.argv]
    launched = subprocess.run(
        shell,
        check=False,
        env=dict(command.env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
    )
    if launched.returncode or not launched.stdout.strip():
        raise StackError(
            f"cannot start {command.argv[0]}: {launched.stderr.decode(errors='replace').strip()}"
        )
    pid = int(launched.stdout)
    return identify(pid) or ProcessRef(pid, started="gone")


def identify(pid: int) -> ProcessRef | None:
    """The process that has this pid now; None when there is none, or only a zombie."""
    return next((row.ref for row in _table(str(pid))), None)


def is_alive(ref: ProcessRef) -> bool:
    """Whether this very process still runs; a zombie does not."""
    return identify(ref.pid) == ref


def family(leaders: Sequence[ProcessRef]) -> set[ProcessRef]:
    """The leaders that live, and whatever descends from them."""
    rows = list(_table())
    wanted = {row.ref for row in rows if row.ref in leaders}
    grown = -1
    while grown != len(wanted):
        grown = len(wanted)
        pids = {ref.pid for ref in wanted}
        wanted |= {row.ref for row in rows if row.parent in pids}
    return wanted


def stop(refs: Iterable[ProcessRef], how: signal.Signals, grace_s: float) -> None:
    """End processes and everything below them: signal `how`, and SIGKILL what is left after `grace_s`.

    Processes already gone are fine. Raises StackError when something outlives even SIGKILL.
    """
    leaders = list(refs)
    everyone = family(leaders)
    # asked politely, a leader ends its children itself and in order
    _signal(everyone if how is signal.SIGKILL else leaders, how)
    left = _wait_gone(everyone, grace_s)
    left |= family(leaders)
    _signal(left, signal.SIGKILL)
    if left := _wait_gone(left, grace_s=10.0):
        raise StackError(f"processes do not end: {', '.join(str(ref.pid) for ref in left)}")


def _signal(refs: Iterable[ProcessRef], how: signal.Signals) -> None:
    for ref in refs:
        if is_alive(ref):
            with contextlib.suppress(ProcessLookupError):
                os.kill(ref.pid, how)


def _wait_gone(refs: set[ProcessRef], grace_s: float) -> set[ProcessRef]:
    deadline = time.monotonic() + grace_s
    left = {ref for ref in refs if is_alive(ref)}
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = {ref for ref in left if is_alive(ref)}
    return left


def _table(only: str | None = None) -> Iterable[_Row]:
    """All living processes (or one), zombies left out."""
    if not Path("/proc/self/stat").exists():
        yield from _table_of_ps(only)
        return
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    names = [only] if only else [name for name in os.listdir("/proc") if name.isdigit()]
    for name in names:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # the command's name is in parentheses and may hold spaces; see proc(5) for the fields after it
            fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] not in "ZX":
                ref = ProcessRef(int(name), started=f"{boot}:{fields[19]}")
                yield _Row(ref, parent=int(fields[1]))


def _table_of_ps(only: str | None) -> Iterable[_Row]:
    """The same on systems without /proc (macOS)."""
    which = ["-p", only] if only else ["-A"]
    listing = subprocess.run(
        ["ps", *which, "-o", "pid=,ppid=,stat=,lstart="],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    for line in listing.stdout.splitlines():
        pid, parent, stat, *started = line.split()
        if not stat.startswith("Z"):
            yield _Row(ProcessRef(int(pid), " ".join(started)), parent=int(parent))
