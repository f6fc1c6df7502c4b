"""Worker processes of a test: started, waited for, stopped, killed, and gone with it.

Owns their life and their logs, whose ends are printed after the test: pytest shows them where it failed.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.paces import HOSTED
from tests.support.starting import (
    NAMESPACE,
    FirstProcess,
    ForkedProcess,
    Process,
    StartedProcess,
    Streams,
)
from tests.support.waiting import until

_LINES_SHOWN: Final = 20
KILLED: Final = -signal.SIGKILL


class Program:
    """One process, or the first of a namespace. Its output is in `log`."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal killed it."""
        return self._process.exit_code

    @property
    def pid(self) -> int | None:
        """None where its namespace is being made."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send(number)

    def catches(self, number: signal.Signals) -> bool:
        """Whether it has a handler for a signal."""
        pid = self.pid
        if pid is None:
            return False
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def end(self) -> None:
        """`kill -9`, whatever state it is in, and wait for its end."""
        self._process.end()

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines so far; what is no JSON is under `text`."""
        return [_read(line) for line in self.log.read_bytes().splitlines() if line.strip()]

    def messages(self) -> list[str]:
        """What its log lines say."""
        return [str(line.get("message", line.get("text"))) for line in self.lines()]

    async def until_says(self, text: str, timeout_s: float | None = None) -> str:
        """Wait for a log line with this text and give it; fails if the process ends before."""

        def is_said() -> bool:
            running = self.exit_code is None
            said = any(text in message for message in self.messages())
            assert running or said, f"exit code {self.exit_code} before it said {text!r}"
            return said

        await until(is_said, timeout_s)
        return next(message for message in self.messages() if text in message)

    async def until_ready(self) -> None:
        """Wait until it works."""
        await self.until_says("ready")

    async def until_exit(self, timeout_s: float | None = None) -> int:
        """Wait for its end; gives its exit code."""
        await until(lambda: self.exit_code is not None, timeout_s)
        code = self.exit_code
        assert code is not None
        return code

    async def url(self) -> str:
        """Where it serves `/metrics` and `/health`."""
        said = await self.until_says("metrics and health on port ")
        return f"http://127.0.0.1:{said.rpartition(' ')[2]}"


class Processes:
    """Starts processes for one test."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._started: list[tuple[str, Program]] = []

    def start(self, name: str, crash: CrashPoint | None = None, **environ: str) -> Program:
        """Start a worker at a test's pace, one that kills itself at a point if one is given."""
        options = [] if crash is None else crash.options()
        return self._start(ForkedProcess, name, "tests.support.crashing", [name, *options], environ)

    def start_shipped(self, name: str, **environ: str) -> Program:
        """Start a worker at production's pace, on queues of a test's."""
        options = [name, "--pace", HOSTED]
        return self._start(StartedProcess, name, "tests.support.crashing", options, environ)

    def start_as_is(self, name: str, **environ: str) -> Program:
        """As an operator does. It refuses the queues of a test, whose delays are others."""
        return self._start(StartedProcess, name, "workers", ["worker", name], environ)

    def start_as_process_1(self, name: str, **environ: str) -> Program:
        """As a container does: in a namespace of its own. Where that is not allowed, the test is skipped."""
        if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
            pytest.skip(
                "not run: no process may be made the first of a namespace here (unshare --fork --pid)"
            )
        return self._start(FirstProcess, name, "workers", ["worker", name], environ)

    async def crash(self, name: str, point: CrashPoint, **environ: str) -> None:
        """Start a worker and wait until it has killed itself at a point. Its locks do not outlive it long."""
        program = self.start(name, point, **{"LOCK_TTL_SECONDS": "1"} | environ)
        assert await program.until_exit() == KILLED

    def end(self) -> None:
        """Kill what runs still and print where the logs end."""
        for _, program in self._started:
            program.end()
        for title, program in self._started:
            print(f"--- {title}: exit code {program.exit_code}; the end of {program.log}")
            print(*program.log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:], sep="\n")

    def _start(
        self,
        begin: Callable[[str, Sequence[str], Mapping[str, str], Streams], Process],
        name: str,
        module: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
    ) -> Program:
        title = f"{len(self._started) + 1}-{name}"
        log = self._directory / f"{title}.log"
        log.touch()
        variables = {"PATH": os.environ["PATH"], **self._cluster.environment(**environ)}
        program = Program(begin(module, arguments, variables, Streams(log, log)), log)
        self._started.append((title, program))
        return program


@pytest.fixture
def processes(cluster: Cluster, tmp_path: Path) -> Iterator[Processes]:
    """Worker processes of this test's cluster."""
    started = Processes(cluster, tmp_path)
    try:
        yield started
    finally:
        started.end()


def _read(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"text": line.decode(errors="replace")}
