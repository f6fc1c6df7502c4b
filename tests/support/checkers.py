"""`python -m tests.support.checkers`: have the servers and programs that tests need.

All of it is installed at once, where that is allowed. Where it is not, this says what is missing: without a
server it ends with 1 and no test is run; without another program, the tests that need it say that they are
not run.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from deploy.stack import Machine, missing_servers
from shared.errors import StackError

CHECKERS: Final = (
    "docker-compose",
    "promtool",
    "ps",
    "initdb",
    "pgbouncer",
    "redis-server",
    "curl",
    "node",
    "npm",
)


def provide_checkers(machine: Machine, environ: Mapping[str, str], progress: Callable[[str], None]) -> bool:
    """Install what is missing, or say what is not checked without it. False: nothing is, without a server."""
    missing = [*missing_servers(environ, machine), *_missing_checkers(machine)]
    if not missing:
        return True
    problem = _install(missing, machine, progress)
    if missing_servers(environ, machine):
        progress(f"no test is run: {problem}")
        return False
    if still := _missing_checkers(machine):
        progress(f"checks that need {', '.join(still)} are not run: {problem}")
    return True


def checker(program: str) -> Path:
    """Where it is; the test that asks for one that is not there is skipped as not run."""
    found = Machine().find(program)
    if found is None:
        pytest.skip(f"not run: {program} is not installed")
    return found


def _missing_checkers(machine: Machine) -> list[str]:
    return [name for name in CHECKERS if machine.find(name) is None]


def _install(missing: list[str], machine: Machine, progress: Callable[[str], None]) -> str:
    """What kept it from being installed, or would be the reason if it were not there now."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            machine.provide(missing, progress, Path(folder) / "packages.log")
    except StackError as error:
        return str(error)
    return "their packages do not hold them"


if __name__ == "__main__":
    can_run = provide_checkers(Machine(), os.environ, lambda line: print(f"tests: {line}", flush=True))
    sys.exit(not can_run)
