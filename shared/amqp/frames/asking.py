"""What a queue says of itself, asked on a channel of its own: a queue that is gone closes the channel."""

import asyncio
from typing import Final

from pamqp import commands

from shared.amqp.broker import QueueState
from shared.amqp.frames.channel import ChannelGone
from shared.amqp.frames.connection import FramesConnection

_NOT_FOUND: Final = 404
#: What RabbitMQ tells of a quorum queue that did not answer it in time: it is asked again.
_SILENT: Final = QueueState(0, 0)
_STAT_S: Final = 0.25


async def ask_state(connection: FramesConnection, queue: str) -> QueueState | None:
    """Depth and consumers; None where it does not exist. Raises ConnectionError."""
    clock = asyncio.get_running_loop().time
    channel = await connection.open_channel()
    try:
        while True:
            asked_at = clock()
            asked = commands.Queue.Declare(queue=queue, passive=True)
            found = await channel.call(asked, commands.Queue.DeclareOk)
            state = QueueState(found.message_count or 0, found.consumer_count or 0)
            if state != _SILENT or clock() - asked_at < _STAT_S:
                return state
    except ChannelGone as gone:
        if gone.code == _NOT_FOUND:
            return None
        raise
    finally:
        channel.abandon()
