"""TLS for tests: throwaway authorities, and a front that speaks TLS before a server that does not.

Owns certificates made by the `openssl` program and the front's sockets. PostgreSQL needs no front: it
switches to TLS within its own protocol.
"""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

#: The first byte of a TLS handshake.
HANDSHAKE: Final = b"\x16"
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority and one certificate of it, for a host name."""

    certificate: Path
    server_certificate: Path
    server_key: Path

    @classmethod
    def make(cls, folder: Path, host: str) -> "Authority":
        """Make both in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        key = folder / "ca.key"
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        _openssl(*new, "-subj", "/CN=tests", "-keyout", str(key), "-out", str(made.certificate))
        signed = ["-CA", str(made.certificate), "-CAkey", str(key), "-addext", f"subjectAltName=DNS:{host}"]
        signed += ["-addext", "basicConstraints=critical,CA:FALSE", "-subj", f"/CN={host}"]
        _openssl(*new, *signed, "-keyout", str(made.server_key), "-out", str(made.server_certificate))
        return made

    def server_context(self) -> ssl.SSLContext:
        """What a server of that name uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_certificate, self.server_key)
        return context


class TlsFront:
    """Takes TLS on a loopback port and passes what is inside on to a server. Notes how each caller began."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self.beginnings: list[bytes] = []
        self._target = (host, port)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, server_url: str, scheme: str, host: str, query: str) -> str:
        """`server_url` by way of this front."""
        parts = urlsplit(server_url)
        login, at, _ = parts.netloc.rpartition("@")
        netloc = f"{login}{at}{host}:{self._listener.getsockname()[1]}"
        return urlunsplit(parts._replace(scheme=scheme, netloc=netloc, query=query))

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                caller, _ = await loop.sock_accept(self._listener)
                task = asyncio.create_task(self._serve(caller))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, caller: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await _until_readable(caller)
            beginning = caller.recv(1, socket.MSG_PEEK)
            if not beginning:  # it hung up without a word
                caller.close()
                return
            self.beginnings.append(beginning)
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, caller, ssl=self._context)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:  # a handshake that failed is one, too
            caller.close()
            return
        await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))


@asynccontextmanager
async def tls_front(server_url: str, authority: Authority) -> AsyncIterator[TlsFront]:
    """A front before the server that a URL names."""
    parts = urlsplit(server_url)
    assert parts.hostname is not None
    assert parts.port is not None
    front = TlsFront(parts.hostname, parts.port, authority.server_context())
    running = asyncio.create_task(front.run())
    try:
        yield front
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _until_readable(caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(caller, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(caller)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
