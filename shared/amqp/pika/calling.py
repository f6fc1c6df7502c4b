"""Calling aio-pika and aiormq: what they raise, in the terms of `shared.amqp.wire`.

Owns the translation, and the reading of properties that pamqp's own decoders refuse.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiormq.exceptions
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.channel import Channel
from pamqp import decode

from shared.amqp.decoding import read_headers, read_short_text, read_time
from shared.amqp.wire import WIRE_ERRORS

#: What a connection or channel that is lost, refused or closed raises.
BROKER_ERRORS = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    ConnectionError,
    OSError,
    TimeoutError,
    asyncio.InvalidStateError,
)

# for all of this process: what pamqp's own decoders refuse ends the connection by which it comes
decode.METHODS |= {"shortstr": read_short_text, "table": read_headers, "timestamp": read_time}


def heed_cancellation() -> None:
    """To be called where an error of aiormq is caught: it may stand for the cancellation of our own task.

    aiormq ends a cancelled call by closing its channel, and tells of the closing. Raises CancelledError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def closing_as_connection_error() -> Iterator[None]:
    """Around calls of aiormq: a connection that closes under them is a ConnectionError.

    aiormq may tell of it by a bare Exception, RuntimeError or StopAsyncIteration, or by a CancelledError
    though nobody cancelled our task.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        heed_cancellation()
        raise ConnectionError("the connection closed under a call") from error
    except Exception as error:
        if type(error) not in (Exception, RuntimeError, StopAsyncIteration):
            raise
        raise ConnectionError(f"the connection closed under a call {error}".rstrip()) from error


@contextmanager
def as_wire_error() -> Iterator[None]:
    """Around calls of aiormq: what it raises of a server that is away or refuses is a WIRE_ERROR."""
    try:
        with closing_as_connection_error():
            yield
    except WIRE_ERRORS:
        heed_cancellation()
        raise
    except BROKER_ERRORS as error:
        heed_cancellation()
        raise ConnectionError(str(error) or type(error).__name__) from error


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """Open a channel; what is returned as unroutable raises. Raises ConnectionError where it is closed."""
    with closing_as_connection_error():
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize()
    return channel


async def underlay(channel: AbstractChannel) -> Channel:
    """The aiormq channel below: a batch needs no object per message and no waiting per ack."""
    opened = await channel.get_underlay_channel()
    assert isinstance(opened, Channel)
    return opened
