"""A small HTTP proxy: CONNECT for https, whole addresses for http. It notes who was asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class HttpProxy:
    """Forwards, or refuses with a status."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuse_with: str | None = None
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; its target is that of the first request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            self.asked.append(f"{method.decode()} {target.decode()}")
            if self.refuse_with is not None:
                writer.write(f"HTTP/1.1 {self.refuse_with}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            else:
                await self._forward(method == b"CONNECT", target.decode(), head, reader, writer)
        writer.close()

    async def _forward(
        self,
        is_tunnel: bool,
        target: str,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        parts = urlsplit(f"//{target}" if is_tunnel else target)
        assert parts.port is not None
        back, forth = await asyncio.open_connection(parts.hostname, parts.port)
        if is_tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            forth.write(head.replace(f"http://{parts.netloc}".encode(), b"", 1))
        await asyncio.gather(_pump(reader, forth), _pump(back, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def http_proxy() -> AsyncIterator[HttpProxy]:
    """A proxy on a loopback port."""
    proxy = HttpProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
