"""From the earlier release to this tree and back, as `deploy/upgrade.md` says: the schema, then the workers.

Old workers are `.1`, new ones `.2`, old ones of after the rollback `.3`.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg

from deploy.demo.processes import Program
from shared.errors import StackError
from tests.faults.earlier import Earlier
from tests.faults.place import Place
from workers.registry import WORKER_NAMES

_ROOT: Final = Path(__file__).resolve().parents[2]
_DRAIN_S: Final = 30.0
#: Within how long the servers notice that workers which ended are gone.
_GONE_S: Final = 10.0
_LOOK_S: Final = 0.2
#: How long this tree's scheduler may read rows of before.
_READ_S: Final = 60.0
_READER: Final = "scheduler"
_UNREAD: Final = """
select exists (select from conversation_mappings where customer is null)
    or exists (select from broadcast_recipients where customer is null)
"""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From the earlier release to this tree, without a pause."""

    name: str = "upgrade"

    async def strike(self, place: Place) -> None:
        """Bring the schema forward under workers that run; new ones start beside them, which then end."""
        await run_wabus(place.servers.database_url, {}, "migrate")
        old = _workers(place)
        await _start(place, old, 2, {})
        for program in old:
            await place.workers.retire(program.name, _DRAIN_S)

    async def heal(self, place: Place) -> None:
        """Nothing: an upgrade stays."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """From this tree to the earlier release: with a pause where that has another schema."""

    earlier: Earlier
    name: str = "rollback"

    async def strike(self, place: Place) -> None:
        """Where the schema is the same, as an upgrade; else all end before any starts."""
        new = _workers(place)
        if self.earlier.is_behind:
            await end_all(place)
            await _go_back(place.servers.database_url, self.earlier.schema)
        await _start(place, new, 3, self.earlier.environment)
        if not self.earlier.is_behind:
            for program in new:
                await place.workers.retire(program.name, _DRAIN_S)

    async def heal(self, place: Place) -> None:
        """Nothing: a rollback stays."""


async def prepare_earlier(url: str, earlier: Earlier) -> None:
    """Bring an empty database to the earlier release's schema, by its own program. Raises StackError."""
    await run_wabus(url, {}, "migrate", "--to", "0", "--yes")
    await run_wabus(url, earlier.environment, "migrate")


async def read_anew(place: Place) -> None:
    """Upgrade once more, for the judge: with the old workers ended, until rows of before are read.

    The judge knows this tree's schema alone, and only here a person is one under two notations.
    """
    (reader,) = (program for program in _workers(place) if program.name.startswith(f"{_READER}."))
    await end_all(place)
    await run_wabus(place.servers.database_url, {}, "migrate")
    await _start(place, [reader], 4, {})
    database = await asyncpg.connect(place.servers.database_url)
    try:
        async with asyncio.timeout(_READ_S):
            while await database.fetchval(_UNREAD):  # noqa: ASYNC110 - rows of a database
                await asyncio.sleep(_LOOK_S)
    finally:
        await database.close()


async def end_all(place: Place) -> None:
    """End all workers at once."""
    async with asyncio.TaskGroup() as ending:
        for program in _workers(place):
            ending.create_task(place.workers.retire(program.name, _DRAIN_S))


async def run_wabus(url: str, code: Mapping[str, str], *arguments: str) -> None:
    """Run `wabus` of the tree that `code` names on a database. Raises StackError with what it said."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers",
        *arguments,
        cwd=_ROOT,
        env={**kept, "DATABASE_URL": url, **code},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise StackError(f"wabus {' '.join(arguments)}: {said.decode(errors='replace').strip()}")


async def _go_back(url: str, schema: int) -> None:
    """Refused while workers are connected, which the server may take them to be for a moment longer."""
    deadline = time.monotonic() + _GONE_S
    while True:
        try:
            await run_wabus(url, {}, "migrate", "--to", str(schema), "--yes")
        except StackError as error:
            if "connections of workers are open" not in str(error) or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_S)
        else:
            return


def _workers(place: Place) -> list[Program]:
    return [place.workers.keepers[name].program for worker in WORKER_NAMES for name in place.replicas(worker)]


async def _start(place: Place, programs: list[Program], number: int, code: Mapping[str, str]) -> None:
    """Start these workers under another number, run by `code`; returns once all work."""
    async with asyncio.TaskGroup() as starting:
        for program in programs:
            starting.create_task(place.workers.add(_renew(program, number, code)))


def _renew(program: Program, number: int, code: Mapping[str, str]) -> Program:
    """The same worker under another number, run by these variables instead of the release's."""
    name = f"{program.name.rpartition('.')[0]}.{number}"
    kept = {key: value for key, value in program.env.items() if key not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    return replace(program, name=name, env=kept | dict(code), log=program.log.with_name(f"{name}.log"))
