"""Faults of the network between the workers and one server, all made by its proxy."""

from dataclasses import dataclass
from random import Random
from typing import Final, get_args

from tests.faults.fault import BREAKER_GOAL_S, BREAKER_HOLDS_S, SERVER_GOAL_S, FaultKind
from tests.faults.place import Place, ServerName

BYTES_PER_S: Final = 10_000
LATENCY_S: Final = 0.3
SERVERS: Final[tuple[ServerName, ...]] = get_args(ServerName)


@dataclass(frozen=True, slots=True)
class _OfProxy:
    """Heals by letting everything pass again."""

    server: ServerName

    async def heal(self, place: Place) -> None:
        """Forward as if nothing had been."""
        place.proxies[self.server].heal()


class Cut(_OfProxy):
    """Every connection is reset, once; new ones are taken at once."""

    @property
    def name(self) -> str:
        return f"connections to {self.server} cut"

    async def strike(self, place: Place) -> None:
        """Reset them."""
        place.proxies[self.server].cut()


class HalfOpen(_OfProxy):
    """No packet passes and nothing is closed; new connections are taken and get no answer.

    What was on its way when it struck is never delivered: at the end the old connections are reset.
    """

    @property
    def name(self) -> str:
        return f"connections to {self.server} half-open"

    async def strike(self, place: Place) -> None:
        """Swallow everything."""
        place.proxies[self.server].swallow()

    async def heal(self, place: Place) -> None:
        """Reset what hung, and forward what comes."""
        proxy = place.proxies[self.server]
        proxy.cut()
        proxy.heal()


class Slow(_OfProxy):
    """10 kB/s on every connection, each way."""

    @property
    def name(self) -> str:
        return f"{self.server} at 10 kB/s"

    async def strike(self, place: Place) -> None:
        """Slow them down."""
        place.proxies[self.server].slow(bytes_per_s=BYTES_PER_S)


class Latency(_OfProxy):
    """300 ms more, each way."""

    @property
    def name(self) -> str:
        return f"{self.server} 300 ms away"

    async def strike(self, place: Place) -> None:
        """Delay everything."""
        place.proxies[self.server].slow(latency_s=LATENCY_S)


def _kind(fault: type[Cut | HalfOpen | Slow | Latency], server: ServerName) -> FaultKind:
    def make(_: Random) -> Cut | HalfOpen | Slow | Latency:
        return fault(server)

    lasts_s = (0.5, 1.0) if fault is Cut else (3.0, 12.0)
    name = fault(server).name
    if server != "cloud_api":
        return FaultKind(name, make, lasts_s, recovers_within_s=SERVER_GOAL_S)
    return FaultKind(name, make, lasts_s, recovers_within_s=BREAKER_GOAL_S, lingers_s=BREAKER_HOLDS_S)


KINDS: Final = tuple(_kind(fault, server) for server in SERVERS for fault in (Cut, HalfOpen, Slow, Latency))
