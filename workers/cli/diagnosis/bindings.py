"""Which of our bindings RabbitMQ has, as its management plugin tells; AMQP itself does not show them.

Asked only where RABBITMQ_MANAGEMENT_URL says where it answers. Nothing is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.amqp.management import read_bindings
from shared.amqp.topology import Topology
from shared.errors import BrokerUnavailable
from shared.settings.server_urls import read_server_url
from shared.settings.settings import Settings

_NOT_ASKED: Final = "not looked at: AMQP does not show them, and RABBITMQ_MANAGEMENT_URL is not set"


@dataclass(frozen=True, slots=True)
class Bindings:
    """Those that are lost, and how it was found out. `is_seen`: whether they were seen at all."""

    lost: Sequence[str]
    told: str
    is_seen: bool


async def look_at_bindings(settings: Settings, wanted: Topology) -> Bindings:
    """Never fails: what keeps the bindings from being seen is told."""
    if settings.rabbitmq_management_url is None:
        return Bindings((), _NOT_ASKED, is_seen=False)
    url = settings.rabbitmq_management_url.get_secret_value()
    host = read_server_url(settings.rabbitmq_url.get_secret_value()).path[1:] or "/"
    try:
        there = await read_bindings(url, host)
    except BrokerUnavailable as error:
        return Bindings((), f"not seen: {error}", is_seen=False)
    needed = [
        (source, queue.name, key)
        for queue in wanted.queues
        for source, key in queue.bindings
        if (source, queue.name, key) not in there
    ]
    lost = [f"queue {queue} to exchange {source} with key {key}" for source, queue, key in needed]
    return Bindings(lost, f"{len(lost)} are lost" if lost else "all are there", is_seen=True)
