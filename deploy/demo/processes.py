"""The demo's processes: started, watched, restarted when they die, killed on purpose, drained at the end.

Owns what an orchestrator would: compose's `restart: unless-stopped`. Each process has a log of its own, and a
session of its own, so that a Ctrl-C at the terminal is heard by the demo alone.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp

from deploy.demo.invariants.evidence import Outage
from deploy.demo.record import now_s
from deploy.stack.processes import ProcessRef, identify
from deploy.stack.tail import last_lines
from shared.errors import StackError

_PORT_LINE: Final = re.compile(rb"metrics and health on port (\d+)")
_READY_S: Final = 60.0
_LOOK_S: Final = 0.1
_FIRST_PAUSE_S: Final = 0.1
_LAST_PAUSE_S: Final = 10.0
_LONG_LIFE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Before a process that ended is started again; after each short life twice as long."""

    first_s: float = _FIRST_PAUSE_S
    last_s: float = _LAST_PAUSE_S


@dataclass(frozen=True, slots=True)
class Program:
    """One process to run. `url`: where it answers; None of a worker, whose log tells it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready_path: str
    url: str | None = None


class Keeper:
    """Keeps one program running. `ref`: its process, since `started_at`; `restarts`: further lives."""

    def __init__(self, program: Program, cwd: Path, on_change: Callable[[], None], pauses: Pauses) -> None:
        self.program = program
        self._pauses = pauses
        self.ref: ProcessRef | None = None
        self.started_at = 0.0
        self.restarts = 0
        self._cwd = cwd
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._stopping = asyncio.Event()
        self._respawned = asyncio.Event()

    @property
    def url(self) -> str | None:
        """Where this life of it answers; None until it says so."""
        if self.program.url is not None:
            return self.program.url
        with self.program.log.open("rb") as log:
            log.seek(self._log_start)
            said = _PORT_LINE.search(log.read(65_536))
        return f"http://127.0.0.1:{int(said[1])}" if said else None

    async def run(self) -> None:
        """Start it, and again whenever it ends, until `stop`."""
        pauses = self._pauses
        pause_s = pauses.first_s
        while not self._stopping.is_set():
            started = now_s()
            await (await self._spawn()).wait()
            if self._stopping.is_set():
                return
            self.restarts += 1
            lived_long = now_s() - started > _LONG_LIFE_S
            pause_s = pauses.first_s if lived_long else min(pause_s * 2, pauses.last_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def wait_ready(self, client: aiohttp.ClientSession) -> None:
        """Wait until it works. Raises StackError with the end of its log."""
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._is_ready(client):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            log = self.program.log
            raise StackError(
                f"{self.program.name} is not ready after {_READY_S:.0f} s\n{last_lines(log)}"
            ) from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process; one that has ended hears nothing."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait_for_another(self, earlier: ProcessRef | None, client: aiohttp.ClientSession) -> None:
        """Wait until a process that came after `earlier` works. Raises StackError."""
        while self.ref == earlier:
            self._respawned.clear()
            await self._respawned.wait()
        await self.wait_ready(client)

    async def kill(self, client: aiohttp.ClientSession) -> Outage:
        """`kill -9`; returns once its next life is ready."""
        process = self._process
        assert process is not None
        since = now_s()
        self._respawned.clear()
        process.kill()
        await self._respawned.wait()
        await self.wait_ready(client)
        return Outage(self.program.name, since, now_s())

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL after the grace; returns the exit code."""
        self._stopping.set()
        process = self._process
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                return await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            return await process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        log = self.program.log
        with log.open("ab") as sink:
            self._log_start = sink.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                env=dict(self.program.env),
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.ref = identify(self._process.pid)
        self.started_at = now_s()
        self._respawned.set()
        self._on_change()
        return self._process

    async def _is_ready(self, client: aiohttp.ClientSession) -> bool:
        if self._process is None or self._process.returncode is not None or (url := self.url) is None:
            return False
        try:
            async with client.get(url + self.program.ready_path) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


class Fleet:
    """All programs of one demo. Made by `running`. `retired`: exit codes of those stopped for good."""

    def __init__(
        self, keepers: dict[str, Keeper], client: aiohttp.ClientSession, start: Callable[[Program], None]
    ) -> None:
        self.keepers = keepers
        self.retired: dict[str, int] = {}
        self._client = client
        self._start = start

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        programs: Iterable[Program],
        cwd: Path,
        on_change: Callable[[Self], None],
        pauses: Pauses = Pauses(),
    ) -> AsyncIterator[Self]:
        """Start all and wait until each is ready; at the end of the block whatever still runs is stopped.

        `on_change` is called with each new process. Raises StackError where one does not come up.
        """
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as client, asyncio.TaskGroup() as group:
            keepers: dict[str, Keeper] = {}

            def start(program: Program) -> None:
                keepers[program.name] = Keeper(program, cwd, lambda: on_change(fleet), pauses)
                group.create_task(keepers[program.name].run(), name=program.name)

            fleet = cls(keepers, client, start)
            for program in programs:
                start(program)
            try:
                async with asyncio.TaskGroup() as starting:
                    for keeper in keepers.values():
                        starting.create_task(keeper.wait_ready(client))
                yield fleet
            finally:
                await fleet.stop(keepers, grace_s=5)

    def refs(self) -> dict[str, ProcessRef]:
        """The processes that run now."""
        return {name: keeper.ref for name, keeper in self.keepers.items() if keeper.ref is not None}

    def urls(self) -> dict[str, str]:
        """Where each answers, of those that have said so."""
        return {name: url for name, keeper in self.keepers.items() if (url := keeper.url) is not None}

    async def add(self, program: Program) -> None:
        """Start one more beside the others; returns once it works. Raises StackError where it does not."""
        self._start(program)
        await self.wait_ready(program.name)

    async def retire(self, name: str, grace_s: float) -> None:
        """Stop one for good; its exit code is kept in `retired`."""
        self.retired[name] = await self.keepers[name].stop(grace_s)
        del self.keepers[name]

    async def kill(self, name: str) -> Outage:
        """Kill one and wait until it is ready again."""
        return await self.keepers[name].kill(self._client)

    async def wait_for_another(self, name: str, earlier: ProcessRef | None) -> None:
        """Wait until a process of this name that came after `earlier` works."""
        await self.keepers[name].wait_for_another(earlier, self._client)

    async def wait_ready(self, name: str) -> None:
        """Wait until this one works."""
        await self.keepers[name].wait_ready(self._client)

    async def stop(self, names: Iterable[str], grace_s: float) -> dict[str, int]:
        """Stop these together; their exit codes."""
        chosen = list(names)
        codes = await asyncio.gather(*(self.keepers[name].stop(grace_s) for name in chosen))
        return dict(zip(chosen, codes, strict=True))
