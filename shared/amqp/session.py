"""A connection for one errand: to declare, to look, to publish and consume as anybody outside of the cluster.

Owns the contract. What works all day is `shared.amqp.broker`.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.amqp.broker import QueueState
from shared.amqp.topology import Topology


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the server lacks, what it has otherwise than we need it, and what we may not compare."""

    missing: Sequence[str]
    different: Sequence[str]
    forbidden: Sequence[str]


class Arrived(Protocol):
    """What a session consumes."""

    @property
    def routing_key(self) -> str | None:
        """Routing key of its publication."""
        ...

    @property
    def headers(self) -> Mapping[str, Any]:
        """Headers, the broker's own, too."""
        ...

    @property
    def body(self) -> bytes:
        """As it was published."""
        ...

    async def ack(self) -> None:
        """Acknowledge it. Raises what the client raises where the channel is gone: then it comes again."""
        ...


class Session(Protocol):
    """One connection for one errand, not restored: once it is lost, every method raises BrokerUnavailable.

    The client's own error is its `__cause__`.
    """

    @property
    def server_version(self) -> str:
        """RabbitMQ's, as it says at the greeting."""
        ...

    async def ping(self) -> None:
        """A round trip."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Declare all of it; idempotent.

        Raises TopologyMissing where the server holds something else under a name of ours, TopologyForbidden
        where the user lacks a right.
        """
        ...

    async def compare(self, topology: Topology) -> Comparison:
        """Look at each exchange and queue; nothing is changed. Bindings are not looked at."""
        ...

    async def queue_states(self, queues: Sequence[str]) -> dict[str, QueueState]:
        """Depth and consumers of those that exist."""
        ...

    async def has_exchange(self, exchange: str) -> bool:
        """Whether it exists."""
        ...

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        bare: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Publish JSON as anybody outside of the cluster does, without our headers, and wait for the confirm.

        `bare`: the body alone, as the least of publishers. What no queue takes is lost. Raises
        BrokerUnavailable where it is refused or not confirmed in time; it may be out then.
        """
        ...

    async def listen(self, exchange: str, routing_keys: Iterable[str]) -> str:
        """Bind a queue of this session's own, which ends with it; returns its name."""
        ...

    def deliveries(self, queue: str, prefetch: int, *, no_ack: bool = False) -> AsyncGenerator[Arrived, None]:
        """Consume a queue until the generator is closed. `no_ack`: what is sent counts as acknowledged."""
        ...
