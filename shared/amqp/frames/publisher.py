"""Publishing with confirms on AMQP frames: a batch is one write, and its confirms are counted."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from shared.amqp import hops, outcomes
from shared.amqp.delivery import Publication
from shared.amqp.frames.channel import FramesChannel
from shared.amqp.frames.confirming import Answer, Confirms, ConfirmWindow
from shared.amqp.frames.opening import FRAMES_ERRORS, FramesLink
from shared.amqp.frames.reading import read_properties
from shared.amqp.frames.writing import FramesHeaderWriter, write_publication
from shared.amqp.publisher_health import PublisherHealth
from shared.durations import Durations
from shared.errors import Unpublishable, WabusError
from shared.ids import random_uuid

log = logging.getLogger(__name__)

#: Outstanding confirms in all.
_WINDOW: Final = 400
#: How long one look at the publishing connection may take.
_CHECK_S: Final = 2.0
_CLOSE_S: Final = 1.0


class _Line:
    """A channel with the confirms that are out on it."""

    def __init__(self, channel: FramesChannel) -> None:
        self.channel = channel
        self.confirms = Confirms()
        channel.on_confirm = self.confirms.take
        channel.on_gone = self.confirms.end
        channel.on_content = lambda content, _: self.confirms.give_back(
            read_properties(content.header).message_id or ""
        )


class FramesPublisher:
    """See `shared.amqp.broker.WatchedPublisher`. On one channel, reopened when it is lost or of no use."""

    def __init__(
        self,
        link: FramesLink,
        durations: Durations,
        observe_confirm: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.health = PublisherHealth()
        self._link = link
        self._confirm_s = durations.publish_confirm_s
        self._observe_confirm = observe_confirm
        self._line: _Line | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._room = asyncio.Condition()
        self._out = 0

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """Publish in order; see `shared.amqp.broker.Publisher`."""
        told: list[WabusError | None] = []
        for start in range(0, len(batch), _WINDOW):
            window, begun = hops.leave(batch[start : start + _WINDOW])
            started = time.monotonic()
            part = await self._publish_window(window)
            self.health.note(window, part, started, time.monotonic())
            hops.arrive(begun, part)
            told += part
        return told

    async def check(self) -> None:
        """Open a new confirm channel; see `shared.amqp.broker.WatchedPublisher`."""
        try:
            async with asyncio.timeout(_CHECK_S):
                connection = await self._link.connection()
                _check_not_blocked(connection.blocked)
                channel = await connection.open_channel(confirms=True)
                self.health.note_answer(time.monotonic())
                await channel.close()
        except FRAMES_ERRORS as error:
            raise outcomes.away(error) from error

    async def _publish_window(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        started = time.monotonic()
        await self._take_room(len(batch))
        try:
            async with asyncio.timeout(self._confirm_s):
                line = await self._open_line()
                told, window = _write(line, batch)
                await line.channel.drain()
            await asyncio.wait([window.done], timeout=self._confirm_s)
        except FRAMES_ERRORS as error:
            return [outcomes.away(error)] * len(batch)
        finally:
            await self._give_room(len(batch))
        result = _outcomes(window, batch, told)
        if not window.done.done() or Answer.REFUSED in window.answers:
            await self._drop_line(line)
        self._observe_confirm(time.monotonic() - started)
        return result

    async def _take_room(self, count: int) -> None:
        """First come, first served; who has more than fits waits until nothing else is out."""
        async with self._turn, self._room:
            await self._room.wait_for(lambda: self._out == 0 or self._out + count <= _WINDOW)
            self._out += count

    async def _give_room(self, count: int) -> None:
        self._out -= count
        async with self._room:
            self._room.notify_all()

    async def _open_line(self) -> _Line:
        async with self._opening:
            connection = await self._link.connection()
            _check_not_blocked(connection.blocked)
            if self._line is None or self._line.channel.is_closed:
                self._line = _Line(await connection.open_channel(confirms=True))
            if not self._line.channel.is_flowing:
                _check_not_blocked("it stopped the channel's flow")
            return self._line

    async def _drop_line(self, line: _Line) -> None:
        """After a channel that is of no use any more the next publish opens another.

        Confirms stay out of it, or it was refused: RabbitMQ 3.10 refuses a channel for ever that a full queue
        has refused once, unless it learns that the limit is higher; that there is none any more is not told.
        What others await on it is given its time.
        """
        if self._line is line:
            self._line = None
        if out := line.confirms.out:
            await asyncio.wait(out, timeout=self._confirm_s)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await line.channel.close()
        except FRAMES_ERRORS as error:
            log.debug("Closing a publishing channel: %s", error)


def _check_not_blocked(reason: str | None) -> None:
    """Raise ConnectionError while RabbitMQ reads nothing from us, for a memory or disk alarm.

    What is written nevertheless is out when the alarm ends, long after it has failed; an answer never comes.
    """
    if reason is not None:
        raise ConnectionError(f"it blocks publishers ({reason})")


def _write(line: _Line, batch: Sequence[Publication]) -> tuple[list[WabusError | None], ConfirmWindow]:
    """In one piece. What no frame takes has no tag, and its error at once."""
    channel = line.channel
    writer = FramesHeaderWriter(channel.number, datetime.now(UTC))
    told: list[WabusError | None] = []
    message_ids: list[str] = []
    parts: list[bytes] = []
    for item in batch:
        message_id = str(random_uuid())
        try:
            parts += write_publication(writer, channel.number, channel.frame_max, item, message_id)
        except Unpublishable as error:
            told.append(error)
            continue
        told.append(None)
        message_ids.append(message_id)
    if channel.is_closed:
        raise ConnectionError("the channel is closed")
    window = line.confirms.begin(message_ids)
    if message_ids:
        channel.write(b"".join(parts))
    else:
        window.finish()
    return told, window


def _outcomes(
    window: ConfirmWindow, batch: Sequence[Publication], told: Sequence[WabusError | None]
) -> list[WabusError | None]:
    if len(window.answers) == len(batch) == window.answers.count(Answer.TAKEN):
        return [None] * len(batch)
    answers = iter(window.answers)
    return [
        error if error is not None else _outcome(window, Answer(next(answers)), item)
        for item, error in zip(batch, told, strict=True)
    ]


def _outcome(window: ConfirmWindow, answer: Answer, item: Publication) -> WabusError | None:
    match answer:
        case Answer.TAKEN:
            return None
        case Answer.RETURNED:
            return outcomes.returned(item)
        case Answer.REFUSED:
            return outcomes.refused(item)
        case Answer.NONE if window.cut_off is not None:
            return outcomes.cut_off(item, window.cut_off)
        case Answer.NONE:
            return outcomes.unconfirmed(item)
