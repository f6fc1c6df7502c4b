"""Faults of Redis: gone, back with nothing in it, and emptied under way."""

import signal
from dataclasses import dataclass
from random import Random
from typing import Final

from redis.asyncio import Redis

from deploy.stack import Kind
from tests.faults.fault import FaultKind
from tests.faults.injections.stopping import Stopped, stop_kinds
from tests.faults.place import Place

STOPPED: Final = Stopped(Kind.REDIS, signal.SIGTERM)
KILLED: Final = Stopped(Kind.REDIS, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Emptied:
    """All keys and scripts are gone at once, with locks held and rates counted."""

    name: str = "redis loses all data"

    async def strike(self, place: Place) -> None:
        """Remove everything."""
        async with Redis.from_url(place.servers.redis_url) as redis:
            await redis.flushall()
            await redis.script_flush()

    async def heal(self, place: Place) -> None:
        """Nothing to do: what is needed is written anew."""


def _make_emptied(_: Random) -> Emptied:
    return Emptied()


KINDS: Final = (
    *stop_kinds(Kind.REDIS, signal.SIGTERM),
    FaultKind(Emptied().name, _make_emptied, lasts_s=(0.5, 1.0)),
)
