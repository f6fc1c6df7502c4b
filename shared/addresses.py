"""Reaching a server by whichever of its addresses answers, on a socket that notices when nobody is there.

Owns resolving (anew each time, never remembered), the share of the deadline that each address gets, and the
options of the socket. What is said over it is the clients'. Imports nothing of ours.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

_Connected = TypeVar("_Connected")

#: A host as a URL names it, and its port.
Host: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """When the kernel gives a connection up: nothing that is sent is acknowledged, be it a probe."""

    is_on: bool = True
    idle_s: int = 5
    interval_s: int = 2
    probes: int = 3
    unacknowledged_ms: int = 7000


KEEP_ALIVE: Final = KeepAlive()


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One address of `host`; a certificate is held against the name, not the address."""

    host: str
    port: int
    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        at = str(self.sockaddr[0])
        return f"{self.host}:{self.port}" + ("" if at == self.host else f" ({at})")


class Unreached(ConnectionError):  # noqa: N818 - says what happened, as the error tree does
    """No address would do. `failures`: what each of them said, in the order in which they were tried."""

    def __init__(self, failures: Sequence[Exception]) -> None:
        self.failures = tuple(failures)
        super().__init__("; ".join(dict.fromkeys(_say(failure) for failure in failures)))

    @property
    def telling(self) -> Exception:
        """What says most: a server's own word, else the only failure, else all of them."""
        answers = [failure for failure in self.failures if not isinstance(failure, OSError)]
        return next(iter(answers), self if len(self.failures) > 1 else self.failures[0])


async def resolve(hosts: Sequence[Host]) -> list[ServerAddress]:
    """Every address of every host, in their order. Raises Unreached where no name can be resolved."""
    answers = await asyncio.gather(*(_look_up(*host) for host in hosts), return_exceptions=True)
    addresses: dict[ServerAddress, None] = {}
    failures: list[Exception] = []
    for answer in answers:
        if isinstance(answer, Exception):
            failures.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            addresses.update(dict.fromkeys(answer))
    if not addresses:
        raise Unreached(failures)
    return list(addresses)


async def first_to_answer(
    hosts: Sequence[Host],
    attempt: Callable[[ServerAddress], Awaitable[_Connected]],
    within_s: float,
    refusals: tuple[type[Exception], ...] = (),
    first: int = 0,
) -> _Connected:
    """The first of all addresses that `attempt` succeeds with; each gets an equal share of what time is left.

    `refusals`: what sends it on to the next address, beside an OSError. `first`: the address to begin with,
    counted round. Raises Unreached.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_s
    try:
        async with asyncio.timeout(within_s):
            addresses = await resolve(hosts)
    except TimeoutError:
        raise Unreached([TimeoutError(f"no name was resolved within {within_s:g} s")]) from None
    turn = first % len(addresses)
    addresses = addresses[turn:] + addresses[:turn]
    expected: tuple[type[Exception], ...] = (OSError, *refusals)
    failures: list[Exception] = []
    for tried, address in enumerate(addresses):
        share_s = max(deadline - clock(), 0) / (len(addresses) - tried)
        try:
            async with asyncio.timeout(share_s):
                return await attempt(address)
        except TimeoutError as error:
            said = f"{address} does not answer within {share_s:.1f} s"
            failures.append(error if str(error) else TimeoutError(said))
        except expected as error:
            failures.append(error)
    raise Unreached(failures)


async def open_socket(address: ServerAddress, keep_alive: KeepAlive = KEEP_ALIVE) -> socket.socket:
    """A connected socket, whose other end cannot fall silent for long without its being noticed."""
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(opened, keep_alive)
        await asyncio.get_running_loop().sock_connect(opened, address.sockaddr)
    except BaseException:
        opened.close()
        raise
    return opened


async def _look_up(host: str, port: int) -> list[ServerAddress]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, ValueError) as error:  # a label that no name may have is a UnicodeError
        why = error.strerror if isinstance(error, OSError) else "no name can be like that"
        raise OSError(f"{host} cannot be resolved ({why})") from None
    return [ServerAddress(host, port, family, sockaddr) for family, _, _, _, sockaddr in found]


def _keep_alive(opened: socket.socket, keep_alive: KeepAlive) -> None:
    options = {
        "TCP_KEEPIDLE": keep_alive.idle_s,
        "TCP_KEEPINTVL": keep_alive.interval_s,
        "TCP_KEEPCNT": keep_alive.probes,
        "TCP_USER_TIMEOUT": keep_alive.unacknowledged_ms,
    }
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keep_alive.is_on)
    for name, value in options.items():
        if (option := getattr(socket, name, None)) is not None:  # each system has some of them
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


def _say(failure: Exception) -> str:
    return str(failure).partition("\n")[0] or type(failure).__name__
