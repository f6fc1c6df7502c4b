"""The AMQP client that wabus speaks with: the one place that names an implementation of the seam."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Final

from shared.amqp.broker import Broker, LentPublisher
from shared.amqp.frames.wire import open_frames
from shared.amqp.kept.broker import KeptBroker
from shared.amqp.kept.link import OpenWire
from shared.amqp.pika import short_lived
from shared.amqp.pika.wire import open_pika
from shared.amqp.session import Session
from shared.amqp.topology import Topology
from shared.certificates import ObserveExpiry, ignore_expiry
from shared.durations import Durations
from shared.settings.server_urls import UrlSource


class AmqpClient(StrEnum):
    """The implementations of the seam, by their names in AMQP_CLIENT."""

    PIKA = "pika"
    FRAMES = "frames"


_WIRES: Final[Mapping[AmqpClient, OpenWire]] = {AmqpClient.PIKA: open_pika, AmqpClient.FRAMES: open_frames}


def build_broker(
    url: str | UrlSource,
    name: str,
    topology: Topology,
    durations: Durations,
    observe_confirm: Callable[[float], None] = lambda _: None,
    observe_expiry: ObserveExpiry = ignore_expiry,
    client: AmqpClient = AmqpClient.FRAMES,
) -> Broker:
    """A broker for a process; nothing is connected before `run`.

    `name`: what the server shows of us. `observe_confirm`: told how long each batch waited for its confirms.
    """
    return KeptBroker(
        _WIRES[client],
        short_lived.prepare_topology,
        url,
        name,
        topology,
        durations,
        observe_confirm,
        observe_expiry,
    )


def open_session(url: str, name: str = "wabus") -> AbstractAsyncContextManager[Session]:
    """A connection for one errand. Raises BrokerUnavailable at once where RabbitMQ is away."""
    return short_lived.open_session(url, name)


def lend_publisher(url: str, name: str, durations: Durations) -> AbstractAsyncContextManager[LentPublisher]:
    """A publisher for one command. Raises BrokerUnavailable at once where RabbitMQ is away."""
    return short_lived.lend_publisher(url, name, durations)
