"""When the certificate runs out that a server has shown."""

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeAlias

#: Told of each new TLS connection: when its server's certificate runs out, in seconds since 1970.
ObserveExpiry: TypeAlias = Callable[[float], None]


def read_expiry(transport: asyncio.BaseTransport) -> float | None:
    """In seconds since 1970. None without TLS, and where certificates are not checked: then none is read."""
    certificate = transport.get_extra_info("peercert")
    return ssl.cert_time_to_seconds(certificate["notAfter"]) if certificate else None


def ignore_expiry(_: float) -> None:
    """For a connection that nobody watches."""
