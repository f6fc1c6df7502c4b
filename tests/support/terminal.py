"""The program `wabus` at a terminal, where it may ask."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence


def type_at_terminal(arguments: Sequence[str], typed: str, *, environ: Mapping[str, str]) -> tuple[int, str]:
    """Run it with a terminal as its input, where `typed` and a return wait: exit code, all it said."""
    ours, its = pty.openpty()
    try:
        os.write(ours, f"{typed}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "workers", *arguments],
            stdin=its,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "USER": "tester", **environ},
            check=False,
        )
    finally:
        os.close(ours)
        os.close(its)
    return done.returncode, done.stdout.decode()
