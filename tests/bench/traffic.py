"""Messages as frames that were written in advance, and connections that carry them.

What is offered and what arrives costs next to nothing while it is measured: a frame is built before the
clock starts, and of what arrives only a number in the body is read.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.amqp.frames.channel import FramesChannel
from shared.amqp.frames.connection import FramesConnection
from shared.amqp.frames.reading import MessageContent

#: The first channel of a connection; frames are written for it.
_CHANNEL: Final = 1
#: Publications that are out together.
_WINDOW: Final = 1000
_PERSISTENT: Final = 2
#: Between two looks at what is due.
_TICK_S: Final = 0.001
#: What a body carries so that its message is known again: `wamid.bench` and eight digits.
_NUMBER: Final = re.compile(rb"wamid\.bench(\d{8})")


@dataclass(frozen=True, slots=True)
class Post:
    """One persistent message to publish."""

    exchange: str
    routing_key: str
    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


def wamid_of(number: int) -> str:
    """The id of the message with this number, by which `Arrivals` knows it again."""
    return f"wamid.bench{number:08}{'x' * 24}"


def write_frames(post: Post) -> bytes:
    """All frames of a message, for the first channel of a connection."""
    properties = commands.Basic.Properties(
        delivery_mode=_PERSISTENT,
        headers=post.headers or None,
        **{"content_type": "application/json", **post.properties},
    )
    header = marshal(ContentHeader(body_size=len(post.body), properties=properties), _CHANNEL)
    return (
        _publish_frame(post.exchange, post.routing_key) + header + marshal(ContentBody(post.body), _CHANNEL)
    )


@lru_cache(maxsize=16_384)
def _publish_frame(exchange: str, routing_key: str) -> bytes:
    return marshal(commands.Basic.Publish(exchange=exchange, routing_key=routing_key), _CHANNEL)


@asynccontextmanager
async def connected(url: str, *, confirms: bool = False) -> AsyncIterator[FramesChannel]:
    """The first channel of a connection of its own."""
    parts = urlsplit(url)
    build = partial(FramesConnection, 0)
    _, connection = await asyncio.get_running_loop().create_connection(
        build, parts.hostname or "127.0.0.1", parts.port or 5672
    )
    login = f"\0{unquote(parts.username or 'guest')}\0{unquote(parts.password or 'guest')}"
    await connection.open("PLAIN", login, unquote(parts.path[1:]) or "/", "bench")
    try:
        yield await connection.open_channel(confirms=confirms)
    finally:
        await connection.close()


class Confirmed:
    """Counts what RabbitMQ has confirmed on a channel, in whatever order. `upto`: all up to this tag."""

    def __init__(self, channel: FramesChannel) -> None:
        self.upto = 0
        self.changed = asyncio.Event()
        self._beyond: set[int] = set()
        channel.on_confirm = self._take

    async def reach(self, tag: int) -> None:
        """Wait until all up to this tag are confirmed."""
        while self.upto < tag:
            self.changed.clear()
            await self.changed.wait()

    def _take(self, is_ack: bool, tag: int, multiple: bool) -> None:
        assert is_ack, "RabbitMQ refused a publication"
        if multiple:
            self.upto = max(self.upto, tag)
            self._beyond = {one for one in self._beyond if one > self.upto}
        else:
            self._beyond.add(tag)
        while self.upto + 1 in self._beyond:
            self.upto += 1
            self._beyond.discard(self.upto)
        self.changed.set()


async def fill(url: str, posts: Sequence[Post]) -> None:
    """Publish all of them as fast as they are confirmed."""
    async with connected(url, confirms=True) as channel:
        confirmed = Confirmed(channel)
        for start in range(0, len(posts), _WINDOW):
            part = posts[start : start + _WINDOW]
            await confirmed.reach(start - _WINDOW)
            channel.write(b"".join(map(write_frames, part)))
            await channel.drain()
        await confirmed.reach(len(posts))


async def offer(channel: FramesChannel, frames: Sequence[bytes], rate: float) -> float:
    """Write each when it is due, `rate` a second; the monotonic time at which the first one was."""
    began, sent = time.monotonic(), 0
    while sent < len(frames):
        due = min(len(frames), int((time.monotonic() - began) * rate) + 1)
        if due > sent:
            channel.write(b"".join(frames[sent:due]))
            await channel.drain()
            sent = due
        await asyncio.sleep(_TICK_S)
    return began


class Arrivals:
    """When messages came out of a queue, monotonic, by their number; a second copy is counted only."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}
        self.copies = 0

    async def listen(self, channel: FramesChannel, queue: str) -> None:
        """Take all that comes to the queue, without acknowledgements."""
        channel.on_content = self._note
        await channel.call(commands.Basic.Consume(queue=queue, no_ack=True), commands.Basic.ConsumeOk)

    def _note(self, content: MessageContent, _: bool) -> None:
        found = _NUMBER.search(content.body)
        if found is None:
            return
        number = int(found[1])
        if number in self.times:
            self.copies += 1
        else:
            self.times[number] = time.monotonic()
