"""What each client of RabbitMQ alone can do: `python -m tests.bench.relay`.

Consumes a queue of the inbound-resolver's kind, publishes each message with a confirm, acknowledges it, in
batches, by the same adapters as the workers, and does nothing else: the ceiling of every worker here. The
clients take turns, so that what else the machine does is the same for both.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

from shared.amqp.client import AmqpClient, build_broker
from shared.amqp.delivery import Delivery, Publication
from shared.amqp.topology import ENRICHED, EVENTS, INBOUND_RESOLVER, build_topology
from shared.durations import DURATIONS
from tests.bench.ground import Ground, ground
from tests.bench.inbound_resolver import fill

_BATCH = 150


async def measure(place: Ground, messages: int, client: AmqpClient) -> float:
    """Messages relayed a second, by one process."""
    async with place.channel() as channel:
        await (await channel.get_queue(ENRICHED)).purge()
        await fill(channel, messages, customers=5_000)
    broker = build_broker(place.rabbitmq_url, "relay", build_topology(), DURATIONS, client=client)
    async with asyncio.TaskGroup() as group:
        await broker.run(group)
        inlet = await broker.inlet(INBOUND_RESOLVER, 2 * _BATCH)
        started, done = time.monotonic(), 0
        while done < messages:
            batch = await inlet.next_batch(_BATCH, 0.005)
            outcomes = await broker.publisher.publish(_copies(batch))
            assert not any(outcomes)
            await inlet.acknowledge(batch)
            done += len(batch)
        elapsed_s = time.monotonic() - started
        await inlet.close()
        for task in broker.tasks:
            task.cancel()
    return messages / elapsed_s


def _copies(batch: Sequence[Delivery]) -> list[Publication]:
    return [
        Publication(EVENTS, ENRICHED, item.body, "Relay", item.message_id or "", "relay", mandatory=True)
        for item in batch
    ]


def main() -> None:
    """Measure each client as often as asked, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[AmqpClient, list[float]] = {client: [] for client in AmqpClient}
    with ground() as place:
        for _ in range(arguments.rounds):
            for client, measured in rates.items():
                measured.append(asyncio.run(measure(place, arguments.messages, client)))
    medians = {client: statistics.median(measured) for client, measured in rates.items()}
    for client, median in medians.items():
        print(f"{client}: {median:,.0f} msg/s, {median / medians[AmqpClient.PIKA]:.2f} of pika's")


if __name__ == "__main__":
    main()
