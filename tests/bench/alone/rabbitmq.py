"""What RabbitMQ alone can do with the resolver's traffic: all that is published was written before.

Consumes the resolver's queue, publishes a message of the size of `inbound.enriched` for each with a confirm,
and acknowledges what is confirmed, all at once. Several hundred are in hand, as with a worker.
"""

import asyncio
import os
import signal
from typing import Final

import orjson
import uvloop
from pamqp import commands
from pamqp.frame import marshal

from shared.amqp.frames.channel import FramesChannel
from shared.amqp.topology import ENRICHED, EVENTS, INBOUND_RESOLVER
from tests.bench.traffic import Confirmed, Post, connected, wamid_of, write_frames
from tests.bench.work import Work, payloads

_PREFETCH: Final = 600


def _event() -> Post:
    """One that is as large as the resolver's."""
    ((_, message),) = payloads(Work.INBOUND, 1)
    more = {"customer": message["wa_id"], "mapping_id": "0" * 36, "trace_id": "0" * 36, "event_version": 1}
    return Post(
        EVENTS,
        ENRICHED,
        orjson.dumps(message | more | {"conversation_id": None, "is_new_conversation": True}),
        {"x-idempotency-key": wamid_of(0), "traceparent": "0" * 55},
        {"message_id": "0" * 36, "correlation_id": "0" * 36, "message_type": "InboundMessage"},
    )


async def relay(url: str) -> None:
    """Until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    frame = write_frames(_event())
    async with connected(url) as consuming, connected(url, confirms=True) as publishing:
        confirmed = Confirmed(publishing)
        confirming = asyncio.create_task(_acknowledge(confirmed, consuming))
        arrived, waiting = asyncio.Event(), [0]

        def count(*_: object) -> None:
            waiting[0] += 1
            arrived.set()

        consuming.on_content = count
        await consuming.call(commands.Basic.Qos(0, _PREFETCH, False), commands.Basic.QosOk)
        await consuming.call(commands.Basic.Consume(queue=INBOUND_RESOLVER), commands.Basic.ConsumeOk)
        ending = asyncio.create_task(over.wait())
        while not over.is_set():
            arrived.clear()
            some = asyncio.create_task(arrived.wait())
            await asyncio.wait((some, ending), return_when=asyncio.FIRST_COMPLETED)
            some.cancel()
            publishing.write(frame * waiting[0])
            waiting[0] = 0
            await publishing.drain()
        confirming.cancel()


async def _acknowledge(confirmed: Confirmed, consuming: FramesChannel) -> None:
    """The n-th publication follows from the n-th delivery: tags of both are the same."""
    done = 0
    while True:
        await confirmed.reach(done + 1)
        done = confirmed.upto
        consuming.write(marshal(commands.Basic.Ack(done, True), consuming.number))


if __name__ == "__main__":
    uvloop.run(relay(os.environ["RABBITMQ_URL"]))
