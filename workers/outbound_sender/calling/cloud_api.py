"""The send call over HTTP: one shared client, and the line between "not sent" and "nobody knows".

Owns the connections, the deadlines of a request and the translation of the client's errors. What an answer
means is in `answer`, what follows from it in `reactions`.
"""

import asyncio
import errno
from collections.abc import Mapping, MutableSet
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.durations import Durations
from shared.http_client import find_proxy, open_session
from shared.masking import MASK, mask_secrets
from shared.messaging.messages.graph_errors import ErrorClass
from shared.settings.settings import Settings
from workers.outbound_sender.calling.answer import (
    Answer,
    Lost,
    Refused,
    TooLate,
    Unable,
    Unreachable,
    read_answer,
)

#: An answer of the platform has some hundred bytes.
_ANSWER_BYTES: Final = 256 * 1024
#: What a connection fails of on our side: files, memory, ports, a route.
_OURS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETUNREACH}
)


@dataclass(slots=True)
class _Start:
    """When a request's first byte must be out, by the loop's clock, and whether it is."""

    deadline: float
    is_out: bool = False


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where a number's messages go, and in whose name. `token` may come back in no answer's text.

    `unable`: what is said while no request can be made to that host; others may be reached all the same.
    """

    url: URL
    unable: str
    token: bytes
    headers: Mapping[str, str]
    proxy: str | None


class _StartsTooLate(Exception):  # noqa: N818 - said to ourselves only
    pass


class CloudApi:
    """Sends bodies. Use within the loop in which it was made; `close` it at the end."""

    def __init__(
        self, settings: Settings, durations: Durations, degraded: MutableSet[str] | None = None
    ) -> None:
        """`degraded`: takes the reason while no request can be made."""
        self._degraded = set() if degraded is None else degraded
        self._settings = settings
        self._durations = durations
        self._lines: dict[str, _Destination] = {}
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_before_first_byte)
        self._session = open_session(durations, trace)

    async def send(self, number: str, body: bytes, claimed_at: float) -> Answer:
        """Ask the platform to send. `claimed_at`: the loop's time when the attempt was committed."""
        line = self._lines.get(number) or self._open_line(number)
        if line is None:
            return Refused(ErrorClass.AUTH, "no_token", f"no access token for number {number}")
        start = _Start(claimed_at + self._durations.claim_start_s)
        try:
            async with self._session.post(
                line.url,
                data=body,
                headers=line.headers,
                proxy=line.proxy,
                allow_redirects=False,
                trace_request_ctx=start,
            ) as response:
                self._degraded.discard(line.unable)
                content = await _read(response)
                if content is None:
                    return Lost(f"an answer of more than {_ANSWER_BYTES} bytes", response.status)
                return read_answer(
                    response.status, response.headers, content.replace(line.token, MASK.encode())
                )
        except _StartsTooLate:
            return TooLate()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = mask_secrets(f"{type(error).__name__}: {error}")[:300]
            if not start.is_out and _is_ours(error):
                self._degraded.add(line.unable)
                return Unable(text)
            return Lost(text) if start.is_out else Unreachable(text)

    def _open_line(self, number: str) -> _Destination | None:
        account = self._settings.number(number)
        if account.token is None:
            return None
        version = self._settings.whatsapp_api_version
        url = URL(f"{account.api_url}/{version}/{quote(number, safe='')}/messages", encoded=True)
        token = account.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        unable = f"no request to the Cloud API can be made from here to {url.host} (see the log)"
        line = _Destination(url, unable, token.encode(), headers, find_proxy(account.api_url))
        self._lines[number] = line
        return line

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _is_ours(error: Exception) -> bool:
    """Whether the other side has nothing to do with it: nobody may be kept from sending because of it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return True
    return isinstance(error, OSError) and error.errno in _OURS


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None where it is larger than any answer is."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _ANSWER_BYTES:
            response.close()
            return None
    return bytes(content)


async def _before_first_byte(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    """The client calls this with a connection in hand, just before it writes."""
    start: _Start = context.trace_request_ctx
    if asyncio.get_running_loop().time() > start.deadline:
        raise _StartsTooLate
    start.is_out = True
