"""One connection to one address: the greeting, the channels, heartbeats both ways, blocking, the end.

Owns the socket. Opening it to whichever address answers is `shared.amqp.frames.opening`'s.
"""

import asyncio
import logging
from typing import Any, Final, cast

from pamqp import commands
from pamqp.base import Frame as Method
from pamqp.frame import marshal
from pamqp.heartbeat import Heartbeat

from shared.amqp.frames.channel import FramesChannel, read_method
from shared.amqp.frames.reading import HEARTBEAT, METHOD, FrameReader, MalformedFrames

log = logging.getLogger(__name__)

_GREETING: Final = b"AMQP\x00\x00\x09\x01"
#: Until another size is agreed upon, and where the server knows no limit.
_FRAME_MAX: Final = 131_072
_LATE_S: Final = 1.0
_CAPABILITIES: Final = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}


class ConnectionClosed(ConnectionError):  # noqa: N818 - says what happened, as the error tree does
    """By RabbitMQ, with its code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class FramesConnection(asyncio.Protocol):
    """See the module."""

    def __init__(self, heartbeat_s: int) -> None:
        self.frame_max = _FRAME_MAX
        #: Whether it waits for our word on a consumer that it cancelled (from RabbitMQ 4.3 on).
        self.awaits_cancel_ok = False
        #: Why RabbitMQ reads nothing from us; None while it does.
        self.blocked: str | None = None
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[object] = loop.create_future()
        self._clock = loop.time
        self._heartbeat_s = heartbeat_s
        self._heard_at = self._said_at = loop.time()
        self._reader = FrameReader(_FRAME_MAX)
        self._channels: dict[int, FramesChannel] = {}
        self._channel_max = 2047
        self._methods: asyncio.Queue[Method] = asyncio.Queue()
        self._error: ConnectionError | None = None
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._beating: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._error is not None

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing. One without heartbeats never is."""
        return bool(self._heartbeat_s) and self._clock() - self._heard_at > self._heartbeat_s + _LATE_S

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's."""
        assert self._transport is not None
        return self._transport

    async def open(self, mechanism: str, response: str, virtual_host: str, name: str) -> None:
        """Sign in. Raises ConnectionError, with RabbitMQ's reason where it gave one."""
        start = await self._next(commands.Connection.Start)
        able = (start.server_properties or {}).get("capabilities")
        self.awaits_cancel_ok = isinstance(able, dict) and bool(able.get("accept_consumer_cancel_ok"))
        properties = {"connection_name": name, "product": "wabus", "capabilities": _CAPABILITIES}
        self._say(commands.Connection.StartOk(cast(Any, properties), mechanism, response, "en_US"))
        tune = await self._next(commands.Connection.Tune)
        self.frame_max = min(tune.frame_max or _FRAME_MAX, _FRAME_MAX)
        self._reader.frame_max = self.frame_max
        self._channel_max = tune.channel_max or 65_535
        self._say(commands.Connection.TuneOk(self._channel_max, self.frame_max, self._heartbeat_s))
        self._say(commands.Connection.Open(virtual_host))
        await self._next(commands.Connection.OpenOk)
        self._is_open = True
        self._beat()

    async def open_channel(self, *, confirms: bool = False) -> FramesChannel:
        """A new one. Raises ConnectionError."""
        number = next((n for n in range(1, self._channel_max + 1) if n not in self._channels), None)
        if number is None:
            raise ConnectionError(f"all {self._channel_max} channels of the connection are in use")
        channel = self._channels[number] = FramesChannel(self, number)
        await channel.call(commands.Channel.Open(), commands.Channel.OpenOk)
        if confirms:
            await channel.call(commands.Confirm.Select(), commands.Confirm.SelectOk)
        return channel

    async def close(self) -> None:
        """Say good-bye and wait for the answer; nothing where it is closed."""
        if self._error is None:
            self._say(commands.Connection.Close(200, "", 0, 0))
            await asyncio.wait([self.lost])

    def abort(self) -> None:
        """Close it without a word."""
        self._lose(ConnectionError("the connection was given up"))

    def write(self, data: bytes) -> None:
        """Soon. Raises ConnectionError where it is closed."""
        if self._error is not None or self._transport is None:
            raise self._error or ConnectionError("the connection is not open")
        self._said_at = self._clock()
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the socket is full; returns when the connection is lost, too."""
        await self._writable.wait()

    def forget(self, number: int) -> None:
        """The number of a channel is free again."""
        self._channels.pop(number, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._clock()
        try:
            for kind, number, payload in self._reader.feed(data):
                if self._error is not None:
                    return
                channel = self._channels.get(number)
                if channel is not None:
                    channel.take(kind, payload)
                elif number:
                    raise MalformedFrames(f"a frame for channel {number}, which is not open")
                elif kind == METHOD:
                    self._take(read_method(payload))
                elif kind != HEARTBEAT:
                    raise MalformedFrames("content without a channel")
        except MalformedFrames as error:
            log.warning("RabbitMQ said what cannot be read: %s", error)
            self._lose(error)
        except ConnectionError as error:
            self._lose(error)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc if isinstance(exc, ConnectionError) else ConnectionError(str(exc or "it was closed")))

    def _take(self, method: Any) -> None:
        match method:
            case commands.Connection.Close():
                self._say(commands.Connection.CloseOk())
                self._lose(ConnectionClosed(int(method.reply_code or 0), str(method.reply_text)))
            case commands.Connection.CloseOk():
                self._lose(ConnectionError("the connection is closed"))
            case commands.Connection.Blocked():
                self.blocked = str(method.reason)
                log.warning("RabbitMQ blocks publishers: %s", self.blocked)
            case commands.Connection.Unblocked():
                self.blocked = None
            case _ if self._is_open:
                raise MalformedFrames(f"{method.name} on an open connection")
            case _:
                self._methods.put_nowait(method)

    async def _next(self, kind: type[Any]) -> Any:
        """The next method of the greeting."""
        waiting = asyncio.ensure_future(self._methods.get())
        try:
            either: list[asyncio.Future[Any]] = [waiting, self.lost]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise self._error or ConnectionError("it was closed")
        finally:
            waiting.cancel()
        method = waiting.result()
        if not isinstance(method, kind):
            raise MalformedFrames(f"{method.name} at the greeting")
        return method

    def _say(self, method: Method) -> None:
        self.write(marshal(method, 0))

    def _beat(self) -> None:
        if not self._heartbeat_s or self._error is not None:
            return
        every_s = self._heartbeat_s / 2
        if self._clock() - self._said_at >= every_s / 2:
            self.write(Heartbeat().marshal())
        self._beating = asyncio.get_running_loop().call_later(every_s, self._beat)

    def _lose(self, error: ConnectionError) -> None:
        """Once; what has been written goes out first, where the socket takes it."""
        if self._error is not None:
            return
        self._error = error
        if self._beating is not None:
            self._beating.cancel()
        if self._transport is not None:
            if isinstance(error, ConnectionClosed):
                self._transport.close()
            else:
                self._transport.abort()
        self._writable.set()
        for channel in list(self._channels.values()):
            channel.lose(error)
        self._channels.clear()
        self.lost.set_result(None)
