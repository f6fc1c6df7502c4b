"""A channel on AMQP frames in confirm mode: a batch is one write, and its confirms are counted."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.amqp import outcomes
from shared.amqp.delivery import Publication
from shared.amqp.frames.channel import FramesChannel
from shared.amqp.frames.confirming import Answer, Confirms, ConfirmWindow
from shared.amqp.frames.reading import MessageContent, read_properties
from shared.amqp.frames.writing import FramesHeaderWriter, write_publication
from shared.errors import Unpublishable, WabusError
from shared.ids import random_uuid


class FramesPublishing:
    """See `shared.amqp.wire.PublishingChannel`."""

    def __init__(self, channel: FramesChannel) -> None:
        self._channel = channel
        self._confirms = Confirms()
        channel.on_confirm = self._confirms.take
        channel.on_gone = self._confirms.end
        channel.on_content = self._on_returned

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use; see `shared.amqp.wire.PublishingChannel`."""
        return self._channel.is_closed

    @property
    def held_by(self) -> str | None:
        """`channel.flow`; see `shared.amqp.wire.PublishingChannel`."""
        return None if self._channel.is_flowing else "it stopped the channel's flow"

    @property
    def out(self) -> Sequence["asyncio.Future[object]"]:
        """Windows that are waited for; see `shared.amqp.wire.PublishingChannel`."""
        return self._confirms.out

    async def write(self, batch: Sequence[Publication]) -> "FramesWritten":
        """Publish; see `shared.amqp.wire.PublishingChannel`."""
        written = _write(self._channel, self._confirms, batch)
        await self._channel.drain()
        return written

    async def close(self) -> None:
        """Close it; see `shared.amqp.wire.PublishingChannel`."""
        await self._channel.close()

    def _on_returned(self, content: MessageContent, _: bool) -> None:
        self._confirms.give_back(read_properties(content.header).message_id or "")


class FramesWritten:
    """See `shared.amqp.wire.WrittenBatch`. `told`: the errors of those that were not written."""

    def __init__(
        self, batch: Sequence[Publication], told: Sequence[WabusError | None], window: ConfirmWindow
    ) -> None:
        self._batch = batch
        self._told = told
        self._window = window

    @property
    def is_spent(self) -> bool:
        """Whether its channel is; see `shared.amqp.wire.WrittenBatch`."""
        window = self._window
        return Answer.REFUSED in window.answers or (window.cut_off is None and Answer.NONE in window.answers)

    async def wait(self, timeout_s: float) -> None:
        """Wait for the confirms; see `shared.amqp.wire.WrittenBatch`."""
        try:
            await asyncio.wait([self._window.done], timeout=timeout_s)
        finally:
            self._window.finish()

    def outcomes(self) -> list[WabusError | None]:
        """One each; see `shared.amqp.wire.WrittenBatch`."""
        answers = self._window.answers
        if len(answers) == len(self._batch) == answers.count(Answer.TAKEN):
            return [None] * len(answers)
        of_written = iter(answers)
        return [
            error if error is not None else _outcome(self._window, Answer(next(of_written)), item)
            for item, error in zip(self._batch, self._told, strict=True)
        ]


def _write(channel: FramesChannel, confirms: Confirms, batch: Sequence[Publication]) -> FramesWritten:
    """In one piece. What no frame takes has no tag, and its error at once."""
    writer = FramesHeaderWriter(channel.number, datetime.now(UTC))
    told: list[WabusError | None] = []
    message_ids: list[str] = []
    parts: list[bytes] = []
    for item in batch:
        message_id = random_uuid()
        try:
            parts += write_publication(writer, channel.number, channel.frame_max, item, message_id)
        except Unpublishable as error:
            told.append(error)
            continue
        told.append(None)
        message_ids.append(message_id)
    if channel.is_closed:
        raise ConnectionError("the channel is closed")
    window = confirms.begin(message_ids)
    if message_ids:
        channel.write(b"".join(parts))
    else:
        window.finish()
    return FramesWritten(batch, told, window)


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
