"""Every address of every host gets its share of the time, and a socket that notices when nobody is there."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.addresses import KEEP_ALIVE, ServerAddress, Unreached, first_to_answer, open_socket, resolve


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """The port of a server on 127.0.0.2 alone, which greets."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.2", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def name_service(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> None:
    """The resolver of the loop knows these names, too."""
    loop = asyncio.get_running_loop()
    asked = loop.getaddrinfo

    async def look_up(host: Any, port: Any, **options: Any) -> Any:
        found = [await asked(address, port, **options) for address in names.get(host, [host])]
        return [entry for answer in found for entry in answer]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)


async def greeting(address: ServerAddress) -> tuple[str, bytes]:
    opened = await open_socket(address)
    reader, writer = await asyncio.open_connection(sock=opened)
    try:
        return str(address.sockaddr[0]), await reader.readexactly(5)
    finally:
        writer.close()


async def test_a_name_with_a_silent_address_is_reached_by_its_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name_service(monkeypatch, {"server.test": ["127.0.0.1", "127.0.0.2"]})
    async with listening() as port:
        with socket.create_server(("127.0.0.1", port)):  # takes connections and never says a word
            assert await first_to_answer([("server.test", port)], greeting, 1.0) == ("127.0.0.2", b"hello")


async def test_a_name_is_resolved_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"server.test": ["127.0.0.1"]}
    name_service(monkeypatch, names)
    before = await resolve([("server.test", 1)])
    names["server.test"] = ["127.0.0.2", "127.0.0.2"]

    after = await resolve([("server.test", 1)])

    assert [address.sockaddr[0] for address in before] == ["127.0.0.1"]
    assert [address.sockaddr[0] for address in after] == ["127.0.0.2"]


async def test_a_host_that_no_name_service_knows_leaves_the_next_one() -> None:
    async with listening() as port:
        hosts = [("nowhere.invalid", port), ("x" * 64, port), ("127.0.0.2", port)]
        assert await first_to_answer(hosts, greeting, 5.0) == ("127.0.0.2", b"hello")


async def test_the_address_to_begin_with_is_counted_round() -> None:
    tried: list[str] = []

    async def refuse(address: ServerAddress) -> None:
        tried.append(address.host)
        raise OSError(f"{address.host} is no good")

    hosts = [("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.3", 1)]
    with pytest.raises(Unreached) as told:
        await first_to_answer(hosts, refuse, 1.0, first=4)

    assert tried == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    assert str(told.value) == "; ".join(f"{host} is no good" for host in tried)


async def test_what_a_server_says_tells_more_than_one_that_is_not_there() -> None:
    async def attempt(address: ServerAddress) -> None:
        raise LookupError("wrong password") if address.port == 2 else ConnectionRefusedError("nobody")

    with pytest.raises(Unreached) as told:
        await first_to_answer([("127.0.0.1", 1), ("127.0.0.1", 2)], attempt, 1.0, (LookupError,))
    assert str(told.value.telling) == "wrong password"
    with pytest.raises(Unreached) as told:
        await first_to_answer([("127.0.0.1", 1)], attempt, 1.0)

    assert isinstance(told.value.telling, ConnectionRefusedError)


async def test_names_that_cannot_be_resolved_are_told() -> None:
    with pytest.raises(Unreached, match=r"nowhere\.invalid cannot be resolved"):
        await resolve([("nowhere.invalid", 1)])


async def test_a_socket_asks_after_an_idle_peer_and_gives_up_one_that_acknowledges_nothing() -> None:
    async with listening() as port:
        with await open_socket((await resolve([("127.0.0.2", port)]))[0]) as opened:
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for option, value in (
                (socket.TCP_KEEPIDLE, KEEP_ALIVE.idle_s),
                (socket.TCP_USER_TIMEOUT, KEEP_ALIVE.unacknowledged_ms),
            ):
                assert opened.getsockopt(socket.IPPROTO_TCP, option) == value
