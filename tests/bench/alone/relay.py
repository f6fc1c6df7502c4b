"""What a client of RabbitMQ alone can do: consume the resolver's queue, publish with confirms, acknowledge.

In batches, by the same adapters as the workers, on the same event loop, and nothing else: no decoding, no
lock, no database.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Final

import uvloop

from shared.amqp.client import AmqpClient, build_broker
from shared.amqp.delivery import Delivery, Publication
from shared.amqp.topology import ENRICHED, EVENTS, INBOUND_RESOLVER, build_topology
from shared.durations import DURATIONS

_BATCH: Final = 150


async def relay(url: str, client: AmqpClient) -> None:
    """Relay until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    broker = build_broker(url, "relay", build_topology(), DURATIONS, client=client)
    async with asyncio.TaskGroup() as group:
        await broker.run(group)
        inlet = await broker.inlet(INBOUND_RESOLVER, 2 * _BATCH)
        while not over.is_set():
            batch = await inlet.next_batch(_BATCH, 0.005)
            outcomes = await broker.publisher.publish(_copies(batch))
            assert not any(outcomes), outcomes
            await inlet.acknowledge(batch)
        await inlet.close()
        for task in broker.tasks:
            task.cancel()


def _copies(batch: Sequence[Delivery]) -> list[Publication]:
    return [
        Publication(EVENTS, ENRICHED, item.body, "Relay", item.message_id or "", "relay", mandatory=True)
        for item in batch
    ]


if __name__ == "__main__":
    uvloop.run(relay(os.environ["RABBITMQ_URL"], AmqpClient(os.environ["AMQP_CLIENT"])))
