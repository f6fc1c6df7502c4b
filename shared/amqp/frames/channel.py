"""One channel: calls and their answers, and what comes by it. Its number is its connection's to give."""

import asyncio
import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from pamqp import commands
from pamqp.base import Frame as Method
from pamqp.exceptions import PAMQPException
from pamqp.frame import marshal, unmarshal

from shared.amqp.frames.reading import (
    ACK,
    DELIVER,
    METHOD,
    NACK,
    RETURN,
    ContentReader,
    MalformedFrames,
    MessageContent,
    read_confirm,
)

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer", bound=Method)
_OK: Final = 200
_CLOSE: Final = b"\x00\x14\x00\x28"
_CLOSE_OK: Final = b"\x00\x14\x00\x29"


class ChannelGone(ConnectionError):  # noqa: N818 - says what happened, as the error tree does
    """Closed by us, by RabbitMQ (with its code and reason), or with its connection."""

    def __init__(self, reason: str, code: int = _OK) -> None:
        super().__init__(f"{code} {reason}" if code != _OK else reason)
        self.code = code

    @property
    def is_told(self) -> bool:
        """Whether RabbitMQ closed it, for a reason of its own."""
        return self.code != _OK


class Carrier(Protocol):
    """What a channel needs of its connection."""

    frame_max: int
    awaits_cancel_ok: bool

    def write(self, data: bytes) -> None:
        """Soon. Raises ConnectionError where it is closed."""
        ...

    async def drain(self) -> None:
        """Wait while the socket is full."""
        ...

    def forget(self, number: int) -> None:
        """The number is free again."""
        ...


def read_method(payload: bytes) -> Method:
    """Any method, by pamqp. Raises MalformedFrames."""
    frame = b"\x01\x00\x00" + len(payload).to_bytes(4) + payload + b"\xce"
    try:
        method = unmarshal(frame)[2]
    except (PAMQPException, ValueError, LookupError, TypeError, struct.error):
        raise MalformedFrames(f"a method that cannot be read, {payload[:4].hex() or 'empty'}") from None
    assert isinstance(method, Method)
    return method


class FramesChannel:
    """Set the callbacks before anything is asked that makes them called."""

    def __init__(self, carrier: Carrier, number: int) -> None:
        self.number = number
        self.frame_max = carrier.frame_max
        #: Whether RabbitMQ lets us publish, as far as this channel goes.
        self.is_flowing = True
        self.on_content: Callable[[MessageContent, bool], None] = lambda _, __: None
        self.on_confirm: Callable[[bool, int, bool], None] = lambda _, __, ___: None
        self.on_cancelled: Callable[[str], None] = lambda _: None
        self.on_gone: Callable[[ConnectionError], None] = lambda _: None
        self._carrier = carrier
        self._content = ContentReader()
        self._calling = asyncio.Lock()
        self._answer: asyncio.Future[Method] | None = None
        self._gone: ConnectionError | None = None
        #: Set once its number may be another's: RabbitMQ has nothing more to say of this one.
        self._freed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._gone is not None

    def write(self, data: bytes) -> None:
        """Whole frames. Raises ConnectionError where it is closed."""
        if self._gone is not None:
            raise self._gone
        self._carrier.write(data)

    async def drain(self) -> None:
        """Wait while the socket is full."""
        await self._carrier.drain()

    async def call(self, method: Method, answer: type[_Answer]) -> _Answer:
        """Ask, and wait for the answer. Raises ConnectionError. Whoever gives up closes the channel."""
        async with self._calling:
            self.write(marshal(method, self.number))
            self._answer = asyncio.get_running_loop().create_future()
            try:
                answered = await self._answer
            except asyncio.CancelledError:
                self.abandon()
                raise
            finally:
                self._answer = None
        if not isinstance(answered, answer):
            self.abandon()
            raise ChannelGone(f"{answered.name} is no answer to {method.name}")
        return answered

    async def close(self) -> None:
        """Close it and wait for RabbitMQ's word, or for the end of the connection."""
        self.abandon()
        await self._freed.wait()

    def abandon(self) -> None:
        """Close it without waiting, once; its number is free when RabbitMQ has said so."""
        if self._gone is None:
            with suppress(ConnectionError):
                self._carrier.write(marshal(commands.Channel.Close(_OK, "", 0, 0), self.number))
            self._end(ChannelGone("the channel is closed"))

    def lose(self, error: ConnectionError) -> None:
        """The connection is gone."""
        self._end(error)
        self._freed.set()

    def take(self, kind: int, payload: bytes) -> None:
        """One frame that came. Raises MalformedFrames."""
        if self._gone is not None:
            self._take_last(kind, payload)
        elif kind != METHOD:
            content = self._content.add(kind, payload)
            if content is not None:
                self.on_content(content, content.method.startswith(RETURN))
        elif (name := payload[:4]) in (DELIVER, RETURN):
            self._content.begin(payload)
        elif name in (ACK, NACK):
            self.on_confirm(name == ACK, *read_confirm(payload))
        else:
            self._take_method(read_method(payload))

    def _take_method(self, method: Any) -> None:
        match method:
            case commands.Channel.Close():
                self._carrier.write(marshal(commands.Channel.CloseOk(), self.number))
                self._end(ChannelGone(str(method.reply_text), int(method.reply_code or 0)))
                self._free()
            case commands.Channel.Flow():
                self.is_flowing = bool(method.active)
                self._carrier.write(marshal(commands.Channel.FlowOk(self.is_flowing), self.number))
            case commands.Basic.Cancel():
                if self._carrier.awaits_cancel_ok:
                    self._carrier.write(marshal(commands.Basic.CancelOk(method.consumer_tag), self.number))
                self.on_cancelled(str(method.consumer_tag))
            case _ if self._answer is not None and not self._answer.done():
                self._answer.set_result(method)
            case _:
                log.debug("%s came unasked", method.name)

    def _take_last(self, kind: int, payload: bytes) -> None:
        """After our good-bye only RabbitMQ's answer counts, and its own good-bye, said as ours came."""
        if kind == METHOD and payload[:4] == _CLOSE:
            self._carrier.write(marshal(commands.Channel.CloseOk(), self.number))
        elif kind == METHOD and payload[:4] == _CLOSE_OK:
            self._free()

    def _free(self) -> None:
        self._carrier.forget(self.number)
        self._freed.set()

    def _end(self, error: ConnectionError) -> None:
        if self._gone is not None:
            return
        self._gone = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.on_gone(error)
