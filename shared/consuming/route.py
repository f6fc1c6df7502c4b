"""What one queue is worked by and how: its handler, the size of its batches, and how many of them at once.

Owns these values; they are the same for every replica. What the queues of a worker share is its workbench.
"""

from dataclasses import dataclass
from typing import TypeAlias

from shared.amqp.publisher_health import Destination
from shared.consuming.arrangement import OrderKey
from shared.consuming.handling import Handler


@dataclass(frozen=True, slots=True)
class OneBatch:
    """One batch is at work. The next one is taken meanwhile and begins after it."""


@dataclass(frozen=True, slots=True)
class Overlapping:
    """Two batches are at work, the second one only when it is full; no two messages of one order key."""


@dataclass(frozen=True, slots=True)
class Concurrent:
    """So many batches are at work, each begun when it is there; the handler keeps what must stay in order."""

    batches: int


AtOnce: TypeAlias = OneBatch | Overlapping | Concurrent


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How the batches of one queue are made and begun.

    `gives_up`: a message whose row stays locked is retried in the end, and counted.
    """

    batch_size: int
    linger_s: float
    at_once: AtOnce
    gives_up: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """One queue that a worker consumes. `order_key` names what must stay in order (None: nothing).

    `publishes`: where its work must publish to be done; a queue whose work is not taken there stands still.
    """

    queue: str
    handler: Handler
    options: ConsumerOptions
    prefetch: int
    order_key: OrderKey
    publishes: Destination | None = None
