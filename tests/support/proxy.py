"""A TCP proxy before a server, which cuts, refuses, swallows, slows, delays or leads elsewhere what comes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 64 * 1024


class Proxy:
    """Forwards to one server. Faults last until `heal`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._bytes_per_s: float | None = None
        self._latency_s = 0.0

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        assert self._port
        return self._port

    def url(self, server_url: str) -> str:
        """`server_url` by way of this proxy."""
        parts = urlsplit(server_url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login + '@' if login else ''}127.0.0.1:{self.port}"))

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    def refuse(self) -> None:
        """Reset every connection and each new one."""
        self._refusing = True
        self.cut()

    def close_port(self) -> None:
        """Refuse new connections as where nobody listens, until `open_port`. Those there are go on."""
        assert self._server is not None
        self._server.close()

    async def open_port(self) -> None:
        """Listen again, on the same port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    def swallow(self) -> None:
        """Half-open: nothing passes either way, and nothing is closed."""
        self._flowing.clear()

    def forget(self) -> None:
        """As a firewall that lost its table: connections that are there fall silent, new ones pass."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def lead_to(self, server_url: str) -> None:
        """As a name that is given to another server: new connections go there, old ones stay."""
        parts = urlsplit(server_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)

    def slow(self, *, bytes_per_s: float | None = None, latency_s: float = 0.0) -> None:
        """Let bytes pass at a rate, or late."""
        self._bytes_per_s = bytes_per_s
        self._latency_s = latency_s

    def heal(self) -> None:
        """Forward again as if nothing had been."""
        self._refusing = False
        self._bytes_per_s = None
        self._latency_s = 0.0
        self._flowing.set()

    @classmethod
    @asynccontextmanager
    async def before(cls, server_url: str) -> AsyncIterator[Self]:
        """A proxy before the server that a URL names."""
        parts = urlsplit(server_url)
        assert parts.hostname is not None
        assert parts.port is not None
        proxy = cls(parts.hostname, parts.port)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()

    async def start(self) -> None:
        """Listen on a free port."""
        await self.open_port()
        assert self._server is not None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, upstream_writer)
        self._pairs.add(pair)
        both = (
            asyncio.create_task(self._pump(reader, upstream_writer, self._flowing, self._upstream())),
            asyncio.create_task(self._pump(upstream_reader, writer, self._flowing, self._downstream(writer))),
        )
        self._tasks.update(both)
        await asyncio.wait(both)
        self._tasks.difference_update(both)
        self._pairs.discard(pair)

    def _downstream(self, _client: asyncio.StreamWriter) -> Callable[[bytes], bytes]:
        """What becomes of what the server says on one connection: here it passes as it is."""
        return lambda data: data

    def _upstream(self) -> Callable[[bytes], bytes]:
        """The same of what the client says."""
        return lambda data: data

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        flowing: asyncio.Event,
        change: Callable[[bytes], bytes],
    ) -> None:
        try:
            while data := await source.read(_CHUNK if self._bytes_per_s is None else 1024):
                await flowing.wait()
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                if self._bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self._bytes_per_s)
                sink.write(change(data))
                await sink.drain()
        except (OSError, RuntimeError):  # uvloop's word for a transport that is closed
            pass
        finally:
            sink.close()
