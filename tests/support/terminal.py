"""The program `wabus` at a terminal, where it may ask."""

import os
import pty
import re
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


def show_at_terminal(arguments: Sequence[str], columns: int, *, environ: Mapping[str, str]) -> str:
    """Run it with a terminal of so many columns as its output: all it said there, without colours."""
    ours, its = pty.openpty()
    chunks: list[bytes] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env={"PATH": os.environ["PATH"], "USER": "tester", "COLUMNS": str(columns), **environ},
    )
    os.close(its)
    try:
        while chunk := _read(ours):
            chunks.append(chunk)
    finally:
        os.close(ours)
        process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", b"".join(chunks).decode()).replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has ended
        return b""
