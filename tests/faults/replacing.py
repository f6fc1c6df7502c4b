"""Faults that need workers of another make: one that a message kills, two whose clocks disagree, one cut off.

The replicas are drained and started anew as the fault wants them, and once more when it heals.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Final

import aio_pika
import asyncpg
import orjson

from deploy.demo.day import NUMBERS
from deploy.demo.invariants.evidence import ExpectedDeath
from deploy.demo.processes import Program
from shared.amqp.topology import INBOUND
from tests.faults.fault import EVERY_WAIT, Fault, FaultKind, FaultUnavailableError
from tests.faults.place import Place
from tests.faults.programs import make_argv
from tests.support.crashing import CrashPoint
from tests.support.proxy import Proxy

_KILLER: Final = "the message that kills"
_VICTIM: Final = "inbound-resolver"
_POINT: Final = CrashPoint(
    "workers.inbound_resolver.resolver:InboundResolver.handle", "before", showing=_KILLER
)
#: Twenty deliveries, each with the start of a process.
_DEATH_S: Final = 180.0
_LOOK_S: Final = 0.5
#: What was in hand at more than one crash is worked one by one, so that a killer takes no neighbour along.
_ONE_BY_ONE_S: Final = 30.0
#: Within how long a healthy replica has all that a sick one had in hand.
_HELD_S: Final = 15.0
#: Where Debian's package libfaketime has its library, by architecture.
_FAKETIME: Final = ("x86_64-linux-gnu", "aarch64-linux-gnu")
_APART: Final = "+5m"


@dataclass(slots=True)
class Poison:
    """A message that kills the inbound resolver each time it begins with it, until the broker gives it up."""

    name: str = "a message that kills inbound-resolver"
    _body: bytes = b""
    _earlier: dict[str, Program] = field(default_factory=dict)

    async def strike(self, place: Place) -> None:
        """Replace the replicas and publish the message."""
        names = place.replicas(_VICTIM)
        self._earlier = {name: place.workers.keepers[name].program for name in names}
        argv = make_argv(_VICTIM, place.pace, _POINT)
        await _replace(place, {name: replace(each, argv=argv) for name, each in self._earlier.items()})
        self._body = orjson.dumps(
            {
                "wamid": f"wamid.killer.{id(self)}",
                "wa_id": "4917999990100",
                "timestamp": 1_700_000_000,
                "message_text": _KILLER,
                "phone_number_id": NUMBERS[0],
            }
        )
        place.record.deaths.append(ExpectedDeath(_KILLER, self._body, "delivery_limit"))
        async with await aio_pika.connect(place.servers.rabbitmq_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(INBOUND, ensure=False)
            await exchange.publish(aio_pika.Message(self._body, delivery_mode=2), "4917999990100")

    async def heal(self, place: Place) -> None:
        """Wait until it is dead, and put the shipped workers back."""
        if self._body:
            async with asyncio.timeout(_DEATH_S):
                while not await _is_dead(place, self._body):  # noqa: ASYNC110 - a row of a database
                    await asyncio.sleep(_LOOK_S)
        await _replace(place, self._earlier)


@dataclass(slots=True)
class Clocks:
    """Two replicas of one worker whose clocks are five minutes apart."""

    worker: str
    _earlier: dict[str, Program] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Whose clocks."""
        return f"clocks of {self.worker} 5 minutes apart"

    async def strike(self, place: Place) -> None:
        """Start the second replica (or the only one) in the future."""
        library = find_faketime()
        if library is None:
            raise FaultUnavailableError("libfaketime is not installed")
        name = place.replicas(self.worker)[-1]
        program = place.workers.keepers[name].program
        self._earlier = {name: program}
        future = {"LD_PRELOAD": str(library), "FAKETIME": _APART, "DONT_FAKE_MONOTONIC": "1"}
        await _replace(place, {name: replace(program, env={**program.env, **future})})

    async def heal(self, place: Place) -> None:
        """Back to the present."""
        await _replace(place, self._earlier)


@dataclass(slots=True)
class SickReplica:
    """One of two replicas of a worker finds its PostgreSQL gone; the other, and everybody else, do not."""

    worker: str
    _earlier: dict[str, Program] = field(default_factory=dict)
    _ways: AsyncExitStack = field(default_factory=AsyncExitStack)
    _way: Proxy | None = None

    @property
    def name(self) -> str:
        """Whose replica."""
        return f"one {self.worker} of two without postgres"

    async def strike(self, place: Place) -> None:
        """Start the last replica anew, by a way of its own to PostgreSQL, and cut it off there."""
        name = place.replicas(self.worker)[-1]
        program = place.workers.keepers[name].program
        url = program.env["DATABASE_URL"]
        self._way = await self._ways.enter_async_context(Proxy.before(url))
        self._earlier = {name: program}
        by_its_way = {**program.env, "DATABASE_URL": self._way.url(url)}
        await _replace(place, {name: replace(program, env=by_its_way)})
        self._way.refuse()

    async def heal(self, place: Place) -> None:
        """Let it through; once it works again by itself, put the shipped one back."""
        async with self._ways:
            if self._way is not None:
                self._way.heal()
                await asyncio.gather(*map(place.workers.wait_ready, self._earlier))
            await _replace(place, self._earlier)


def find_faketime() -> Path | None:
    """The library of libfaketime, where it is installed."""
    candidates = (Path(f"/usr/lib/{directory}/faketime/libfaketime.so.1") for directory in _FAKETIME)
    return next((path for path in candidates if path.exists()), None)


async def _replace(place: Place, programs: Mapping[str, Program]) -> None:
    """Drain these processes; their keepers start what they are told now. Returns once all work."""
    earlier = {name: place.workers.keepers[name].ref for name in programs}
    for name, program in programs.items():
        place.workers.keepers[name].program = program
        place.workers.keepers[name].send(SIGTERM)
    waits = (place.workers.wait_for_another(name, ref) for name, ref in earlier.items())
    await asyncio.gather(*waits)


async def _is_dead(place: Place, body: bytes) -> bool:
    database = await asyncpg.connect(place.servers.database_url)
    try:
        return bool(
            await database.fetchval("select exists (select from dead_letter_queue where raw_body = $1)", body)
        )
    finally:
        await database.close()


def _make_poison(_random: Random) -> Fault:
    return Poison()


def _make_sick(worker: str, _random: Random) -> Fault:
    return SickReplica(worker)


def _make_clocks(random: Random) -> Fault:
    return Clocks(random.choice(("inbound-resolver", "outbound-sender", "scheduler")))


KINDS: Final[tuple[FaultKind, ...]] = (
    FaultKind(
        "a message that kills inbound-resolver", _make_poison, (30.0, 35.0), recovers_within_s=_ONE_BY_ONE_S
    ),
    FaultKind("clocks 5 minutes apart", _make_clocks, (8.0, 12.0)),
    *(
        FaultKind(
            SickReplica(worker).name,
            partial(_make_sick, worker),
            lasts_s=(20.0, 25.0),
            spares=EVERY_WAIT,
            held_s=_HELD_S,
            needs_two=True,
        )
        for worker in ("inbound-resolver", "outbound-sender", "status-updater")
    ),
)
