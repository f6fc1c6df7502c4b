"""`python -m tests.support.checkers`: have the programs with which tests check files and processes.

They are installed as the stack installs its servers, where that is allowed. Where it is not, this says what
is missing, and the tests that need it say that they are not run.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.stack.machine import Machine
from shared.errors import StackError

CHECKERS: Final = ("docker-compose", "promtool", "ps")


def provide_checkers(machine: Machine, progress: Callable[[str], None]) -> None:
    """Install the missing ones, or say why their checks are not run: all others are, without them."""
    missing = [name for name in CHECKERS if machine.find(name) is None]
    if not missing:
        return
    if machine.package_manager is None:
        progress(f"checks that need {', '.join(missing)} are not run: install them first")
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            machine.provide(missing, progress, Path(folder) / "packages.log")
    except StackError as error:
        progress(f"checks that need {', '.join(missing)} are not run: {error}")
    else:
        if still := [name for name in missing if machine.find(name) is None]:
            progress(f"checks that need {', '.join(still)} are not run: their packages do not hold them")


if __name__ == "__main__":
    provide_checkers(Machine(), lambda line: print(f"tests: {line}", flush=True))
