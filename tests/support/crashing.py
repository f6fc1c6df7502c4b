"""The program `wabus worker NAME` at a test's pace, which may kill itself at a named point.

`python -m tests.support.crashing NAME --at module:Class.method --when before|after --nth N [--showing TEXT]`
kills itself with SIGKILL before the nth call of that function begins, or after it has returned. `--showing`
counts only calls whose arguments show a text. Without `--at` it is the plain worker. `--pace` names another
pace than the fast one (`tests.support.paces`). Functions are wrapped
from outside, before the worker is composed: shipped code knows nothing of this.
"""

import argparse
import functools
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from shared.running.process import WorkerProcess
from tests.support.paces import PACES
from workers import __main__ as program
from workers.cli import worker as command


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where a process kills itself. `at` names a function as it is looked up: `module:Class.method`."""

    at: str
    when: Literal["before", "after"]
    nth: int = 1
    showing: str | None = None

    def options(self) -> list[str]:
        """Command line options of this module that name this point."""
        options = ["--at", self.at, "--when", self.when, "--nth", str(self.nth)]
        return options if self.showing is None else [*options, "--showing", self.showing]


class Fuse:
    """Counts the calls that matter and kills the process at the nth."""

    def __init__(self, point: CrashPoint) -> None:
        self._point = point
        self._calls = 0

    def meet(self, moment: str, arguments: object) -> None:
        """A call begins (`before`) or has returned (`after`)."""
        point = self._point
        if moment != point.when or (point.showing is not None and point.showing not in repr(arguments)):
            return
        self._calls += 1
        if self._calls == point.nth:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(point: CrashPoint) -> None:
    """Put a fuse around the function that the point names."""
    module, _, path = point.at.partition(":")
    *parents, name = path.split(".")
    owner: Any = functools.reduce(getattr, parents, import_module(module))
    function = inspect.getattr_static(owner, name)
    assert inspect.isfunction(function), f"{point.at} is no plain function"
    setattr(owner, name, functools.wraps(function)(_wrap(function, Fuse(point))))


def _wrap(function: Callable[..., Any], fuse: Fuse) -> Callable[..., Any]:
    async def iterate(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        fuse.meet("before", (args, kwargs))
        async for item in function(*args, **kwargs):
            yield item
        fuse.meet("after", (args, kwargs))

    async def wait(*args: Any, **kwargs: Any) -> Any:
        fuse.meet("before", (args, kwargs))
        result = await function(*args, **kwargs)
        fuse.meet("after", (args, kwargs))
        return result

    def call(*args: Any, **kwargs: Any) -> Any:
        fuse.meet("before", (args, kwargs))
        result = function(*args, **kwargs)
        fuse.meet("after", (args, kwargs))
        return result

    if inspect.isasyncgenfunction(function):
        return iterate
    return wait if inspect.iscoroutinefunction(function) else call


def main() -> None:
    """Run the worker as the command line does."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.crashing")
    parser.add_argument("name")
    parser.add_argument("--at")
    parser.add_argument("--when", choices=("before", "after"), default="before")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--showing")
    parser.add_argument("--pace", choices=PACES, default="fast")
    options = parser.parse_args()
    vars(command)["WorkerProcess"] = functools.partial(WorkerProcess, durations=PACES[options.pace])
    if options.at is not None:
        arm(CrashPoint(options.at, options.when, options.nth, options.showing))
    sys.argv = ["wabus", "worker", options.name]
    program.main()


if __name__ == "__main__":
    main()
