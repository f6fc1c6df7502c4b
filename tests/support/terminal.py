"""The program `wabus` at a terminal, where it may ask, draw and hear keys."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

#: Where a page that is drawn in place begins anew.
_HOME: Final = "\x1b[H"
_CODES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


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


class LiveProgram:
    """A program that draws its page in place, on a terminal of its own, and hears its keys."""

    def __init__(self, terminal: int, process: "subprocess.Popen[bytes]") -> None:
        self._terminal = terminal
        self._process = process
        self.written = ""

    @property
    def screen(self) -> str:
        """The last page that was drawn whole, without colours."""
        pages = self.written.split(_HOME)
        return _CODES.sub("", pages[-2]).replace("\r\n", "\n") if len(pages) > 2 else ""

    @property
    def heeds_lines(self) -> bool:
        """Whether the terminal is as a shell wants it: lines are edited, and shown."""
        modes = termios.tcgetattr(self._terminal)[3]
        return bool(modes & termios.ICANON and modes & termios.ECHO)

    def press(self, keys: str) -> None:
        """Type them; Ctrl-C is `\x03`."""
        os.write(self._terminal, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """As a window that is dragged."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def wait(self) -> int:
        """Wait for its end; gives its exit code."""
        return await asyncio.to_thread(self._process.wait)

    def take(self) -> None:
        """Read what it has written."""
        self.written += _read(self._terminal).decode(errors="ignore")


@contextmanager
def live_at_terminal(
    arguments: Sequence[str], columns: int, lines: int, *, environ: Mapping[str, str]
) -> Iterator[LiveProgram]:
    """Run it on a terminal of that size until the block ends. For whoever is in an event loop."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "workers", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env={"PATH": os.environ["PATH"], "USER": "tester", "TERM": "xterm-256color", **environ},
    )
    program = LiveProgram(ours, process)
    program.resize(columns, lines)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, program.take)
    try:
        yield program
    finally:
        loop.remove_reader(ours)
        process.kill()
        process.wait()
        os.close(ours)
        os.close(its)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has ended
        return b""
