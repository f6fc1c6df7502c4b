"""A connection to whichever address of whichever host of the URL answers first."""

import asyncio
import base64
import ssl
from functools import partial
from typing import Any

from yarl import URL

from shared.addresses import ServerAddress, Unreached, first_to_answer, open_socket
from shared.amqp.frames.connection import FramesConnection
from shared.amqp.opening import CONNECT_S, HEARTBEAT_S
from shared.settings.server_urls import UrlSource, current_url, read_server_url, with_host


async def open_connection(source: str | UrlSource, name: str) -> FramesConnection:
    """Sign in to the first address that lets us. Raises what the address that says most said: an OSError."""
    url = current_url(source)

    async def attempt(address: ServerAddress) -> FramesConnection:
        return await _open_one(URL(with_host(url, address.host, address.port)), address, name)

    try:
        return await first_to_answer(read_server_url(url).hosts, attempt, CONNECT_S)
    except Unreached as unreached:
        raise unreached.telling from None


async def _open_one(url: URL, address: ServerAddress, name: str) -> FramesConnection:
    loop = asyncio.get_running_loop()
    tls: dict[str, Any] = {}
    if url.scheme == "amqps":
        context = await loop.run_in_executor(None, _tls_context, dict(url.query))
        tls = {"ssl": context, "server_hostname": url.host}
    heartbeat_s = int(url.query.get("heartbeat", HEARTBEAT_S))
    opened = await open_socket(address)
    try:
        build = partial(FramesConnection, heartbeat_s)
        _, connection = await loop.create_connection(build, sock=opened, **tls)
    except BaseException:
        opened.close()
        raise
    try:
        await connection.open(*_login(url), url.path.removeprefix("/") or "/", name)
    except BaseException:
        connection.abort()
        raise
    return connection


def _login(url: URL) -> tuple[str, str]:
    if url.query.get("auth", "plain").lower() == "external":
        return "EXTERNAL", ""
    return "PLAIN", f"\0{url.user or 'guest'}\0{url.password or 'guest'}"


def _tls_context(query: dict[str, str]) -> ssl.SSLContext:
    cadata = base64.b64decode(query["cadata"]) if "cadata" in query else None
    context = ssl.create_default_context(
        cafile=query.get("cafile"), capath=query.get("capath"), cadata=cadata
    )
    if "certfile" in query:
        context.load_cert_chain(query["certfile"], query.get("keyfile"))
    if query.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
