"""Faults of the Cloud API: most are settings of the sandbox, refusing is its proxy's."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import aiohttp

from tests.faults.fault import BREAKER_GOAL_S, BREAKER_HOLDS_S, Fault, FaultKind
from tests.faults.place import Place
from tests.support.program import run_wabus

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class Refusing:
    """Nobody listens: a connection is refused, and not one byte of a request is sent."""

    name = "cloud api refuses connections"

    async def strike(self, place: Place) -> None:
        """Reset every connection and stop listening."""
        proxy = place.proxies["cloud_api"]
        proxy.close_port()
        proxy.cut()

    async def heal(self, place: Place) -> None:
        """Listen again."""
        await place.proxies["cloud_api"].open_port()


class Answering:
    """Every send call is answered so; `fault` is the sandbox's setting of that name."""

    def __init__(self, name: str, fault: Mapping[str, Any]) -> None:
        self.name = f"cloud api {name}"
        self._fault = fault

    async def strike(self, place: Place) -> None:
        """Set the fault."""
        await _change(place, fault=dict(self._fault))

    async def heal(self, place: Place) -> None:
        """Take it back, and let go the requests that hang."""
        await _change(place, fault=None)
        place.proxies["cloud_api"].cut()


class TokenExpired:
    """The access token is refused, and its number is paused; then the token is valid again.

    Healing is what an operator does: the token first, then `wabus number resume`.
    """

    name = "cloud api token expires"

    async def strike(self, place: Place) -> None:
        """Let the platform take another token only."""
        await _change(place, token=os.urandom(16).hex())

    async def heal(self, place: Place) -> None:
        """Let it take any, and resume the numbers that were paused."""
        await _change(place, token=None)
        environ = {"DATABASE_URL": place.servers.database_url}
        done = await run_wabus("number", "resume", "--all", environ=environ)
        assert done.code == 0, done.err


#: Accepts the message and never answers.
hanging: Final = partial(Answering, "hangs after accepting", {"answer": "none"})
#: Accepts the message and closes the connection.
closing: Final = partial(Answering, "closes after accepting", {"answer": "closed"})
#: Accepts the message and breaks off in its answer.
half_answering: Final = partial(Answering, "gives half a response", {"answer": "half"})
#: An error that the platform calls transient.
failing: Final = partial(Answering, "answers 500", {"code": 131000, "http_status": 500})
#: The number sends too fast.
throttling: Final = partial(
    Answering, "answers 429", {"code": 130429, "http_status": 429, "retry_after_s": 1}
)


async def _change(place: Place, **settings: Any) -> None:
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as client,
        client.put(f"{place.sandbox_url}/_sandbox/settings", json=settings) as answer,
    ):
        answer.raise_for_status()


def _kinds() -> Iterator[FaultKind]:
    makers: Sequence[Callable[[], Fault]] = (
        Refusing,
        TokenExpired,
        hanging,
        closing,
        half_answering,
        failing,
        throttling,
    )
    for make in makers:
        yield FaultKind(
            make().name,
            partial(_make, make),
            lasts_s=(2.0, 8.0),
            recovers_within_s=BREAKER_GOAL_S,
            lingers_s=BREAKER_HOLDS_S,
        )


def _make(make: Callable[[], Fault], _: Random) -> Fault:
    return make()


KINDS: Final = tuple(_kinds())
