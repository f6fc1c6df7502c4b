"""Programs of ours as processes: as a person starts them, or forked from one that has imported them all.

An import takes a second of a core, and a run of the suite starts hundreds. A forked process is otherwise one
that was started: its arguments, variables and streams, signals and exit code are its own.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

from workers import registry

#: Makes a namespace in which what follows is process 1.
NAMESPACE: Final = ("unshare", "--fork", "--pid", "--kill-child")
_ROOT: Final = Path(__file__).resolve().parents[2]
_PROGRAMS: Final = ("tests.support.crashing", "workers.__main__")
_COMMANDS: Final = Path(registry.__file__).with_name("cli")
_FORKING: Final = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        *_PROGRAMS,
        *(f"workers.cli.{path.stem}" for path in sorted(_COMMANDS.glob("*.py"))),
        *(f"deploy.commands.{path.stem}" for path in sorted((_ROOT / "deploy/commands").glob("*.py"))),
        *(f"workers.{path.parent.name}.worker" for path in sorted(_COMMANDS.parent.glob("*/worker.py"))),
    ]
)


@dataclass(frozen=True, slots=True)
class Streams:
    """Files in the place of a terminal; `out` and `err` may be the same."""

    out: Path
    err: Path
    stdin: Path = Path(os.devnull)


class Process(Protocol):
    """A program that was begun."""

    @property
    def pid(self) -> int | None:
        """None where it is not there yet."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal killed it."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""

    def end(self) -> None:
        """`kill -9`, whatever state it is in, and wait for its end."""

    def wait(self) -> int:
        """Wait for its end; gives its exit code."""


class StartedProcess:
    """`python -m MODULE`, from its first line on."""

    _within: tuple[str, ...] = ()

    def __init__(
        self, module: str, arguments: Sequence[str], environ: Mapping[str, str], streams: Streams
    ) -> None:
        with streams.stdin.open("rb") as stdin, streams.out.open("ab") as out, streams.err.open("ab") as err:
            self._process = subprocess.Popen(
                [*self._within, sys.executable, "-m", module, *arguments],
                cwd=_ROOT,
                env=dict(environ),
                stdin=stdin,
                stdout=out,
                stderr=err,
            )

    @property
    def pid(self) -> int | None:
        """See `Process`."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """See `Process`."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """See `Process`."""
        if self.exit_code is None:
            assert self.pid is not None
            os.kill(self.pid, number)

    def end(self) -> None:
        """See `Process`."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """See `Process`."""
        return self._process.wait()


class FirstProcess(StartedProcess):
    """The first of a namespace of its own, as in a container."""

    _within = NAMESPACE

    @property
    def pid(self) -> int | None:
        """None where its namespace is being made."""
        outer = self._process.pid
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        return int(children[0]) if children else None


class ForkedProcess:
    """`main()` of a module, whose imports were done before."""

    def __init__(
        self, module: str, arguments: Sequence[str], environ: Mapping[str, str], streams: Streams
    ) -> None:
        self._process = _FORKING.Process(target=_become, args=(module, [*arguments], dict(environ), streams))
        self._process.start()

    @property
    def pid(self) -> int | None:
        """See `Process`."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """See `Process`."""
        return self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """See `Process`."""
        if self.exit_code is None:
            assert self.pid is not None
            os.kill(self.pid, number)

    def end(self) -> None:
        """See `Process`."""
        self._process.kill()
        self._process.join()

    def wait(self) -> int:
        """See `Process`."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _become(module: str, arguments: Sequence[str], environ: Mapping[str, str], streams: Streams) -> None:
    """Be that program, in the child."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, flags in (
        (0, streams.stdin, os.O_RDONLY),
        (1, streams.out, writing),
        (2, streams.err, writing),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.argv = [module, *arguments]
    os.environ.clear()
    os.environ.update(environ)
    import_module(module).main()
