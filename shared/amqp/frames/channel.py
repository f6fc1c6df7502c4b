"""One channel: calls and their answers, and what comes by it. Its number is its connection's to give."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from pamqp import commands
from pamqp.base import Frame as Method
from pamqp.frame import marshal, unmarshal

from shared.amqp.frames.reading import (
    ACK,
    DELIVER,
    METHOD,
    NACK,
    RETURN,
    ContentReader,
    MessageContent,
    read_confirm,
)

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer", bound=Method)
_OK: Final = 200


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
    """Any method, by pamqp."""
    frame = b"\x01\x00\x00" + len(payload).to_bytes(4) + payload + b"\xce"
    method = unmarshal(frame)[2]
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
        """Close it and wait for RabbitMQ's word; nothing where it is closed."""
        if self._gone is None:
            with suppress(ChannelGone):
                await self.call(commands.Channel.Close(_OK, "", 0, 0), commands.Channel.CloseOk)
            self._end(ChannelGone("the channel is closed"))
            self._carrier.forget(self.number)

    def abandon(self) -> None:
        """Close it without waiting; its number is free once RabbitMQ has said so."""
        if self._gone is None:
            with suppress(ConnectionError):
                self._carrier.write(marshal(commands.Channel.Close(_OK, "", 0, 0), self.number))
            self._end(ChannelGone("the channel was given up"))

    def lose(self, error: ConnectionError) -> None:
        """The connection is gone."""
        self._end(error)

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
                self._carrier.forget(self.number)
            case commands.Channel.Flow():
                self.is_flowing = bool(method.active)
                self._carrier.write(marshal(commands.Channel.FlowOk(self.is_flowing), self.number))
            case commands.Basic.Cancel():
                self.on_cancelled(str(method.consumer_tag))
            case _ if self._answer is not None and not self._answer.done():
                self._answer.set_result(method)
            case _:
                log.debug("%s came unasked", method.name)

    def _take_last(self, kind: int, payload: bytes) -> None:
        """After the end only RabbitMQ's own word on it counts."""
        if kind != METHOD or payload[:2] != b"\x00\x14":
            return
        if isinstance(read_method(payload), commands.Channel.Close):
            self._carrier.write(marshal(commands.Channel.CloseOk(), self.number))
        self._carrier.forget(self.number)

    def _end(self, error: ConnectionError) -> None:
        if self._gone is not None:
            return
        self._gone = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.on_gone(error)
