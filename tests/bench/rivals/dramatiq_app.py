"""On Dramatiq: `dramatiq tests.bench.rivals.dramatiq_app`, processes of threads.

Publications confirmed; it acknowledges what was worked, and declares its queues itself (classic, durable).
Events for others than its workers go out by the channel that its broker keeps for each thread.
"""

import os
from typing import Any, Final

import dramatiq
import orjson
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from shared.amqp.topology import ENRICHED, EVENTS
from tests.bench.rivals.blocking_jobs import BlockingJobs
from tests.bench.rivals.envelopes import DRAMATIQ_QUEUES
from tests.bench.rivals.jobs import Event

broker = RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)
_jobs = BlockingJobs(threads=int(os.environ["BENCH_THREADS"]))
_PROPERTIES: Final = pika.BasicProperties(content_type="application/json", delivery_mode=2)


@dramatiq.actor(queue_name=DRAMATIQ_QUEUES["inbound"])
def inbound(body: dict[str, Any]) -> None:
    """A customer's message."""
    _publish(ENRICHED, _jobs.inbound(body), mandatory=True)


@dramatiq.actor(queue_name=DRAMATIQ_QUEUES["statuses"])
def statuses(body: dict[str, Any]) -> None:
    """What became of a message."""
    _publish("message.updated", _jobs.status(body), mandatory=False)


@dramatiq.actor(queue_name=DRAMATIQ_QUEUES["outbound"])
def outbound(body: dict[str, Any]) -> None:
    """A reply."""
    _publish("outbound.sent", _jobs.outbound(body), mandatory=False)


def _publish(routing_key: str, event: Event, *, mandatory: bool) -> None:
    broker.channel.basic_publish(EVENTS, routing_key, orjson.dumps(event), _PROPERTIES, mandatory=mandatory)
