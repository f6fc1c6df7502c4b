"""How long the oldest message of a queue may have waited, as far as one process can know.

RabbitMQ does not tell it of a quorum queue, and taking a look would count as a delivery. But what waits in a
queue was published after what was taken from it last, and after it was last seen empty. So whoever consumes a
queue knows a bound that is near the truth; the scheduler tells of queues from which no worker takes anything.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import Gauge

from shared.amqp.broker import Broker, QueueState
from shared.amqp.delivery import Delivery
from shared.amqp.topology import ENRICHED

#: The broker's timestamps are whole seconds: on average a message is half of one younger.
_HALF_S: Final = 0.5


class TakenAge:
    """Of a queue that this process consumes: what waits in RabbitMQ, and what is at work here."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds since 1970."""
        self._clock = clock
        self._since = clock()
        self._waits = False
        self._begun: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """0 where nothing waits and nothing is at work."""
        now = self._clock()
        oldest = min(self._begun.values(), default=now)
        return max(0.0, now - (min(oldest, self._since) if self._waits else oldest))

    def begin(self, part: Sequence[Delivery]) -> None:
        """These were taken; `end` must follow. A copy, or one without a time, tells no more than that."""
        now = self._clock()
        self._begun[id(part)] = now
        told = [
            item.published_at + _HALF_S
            for item in part
            if item.published_at is not None and item.attempt == 1 and not item.redelivered
        ]
        self._since = min(now, max(told, default=now))

    def end(self, part: Sequence[Delivery]) -> None:
        """What was begun is done, put back, or stands in a line of its own."""
        self._begun.pop(id(part), None)

    def look(self, messages: int) -> None:
        """So many are ready in RabbitMQ."""
        self._waits = messages > 0
        if not self._waits:
            self._since = self._clock()


class WatchedAge:
    """Of a queue that this process only looks at: for how long it has been neither empty nor shrinking."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds since 1970."""
        self._clock = clock
        self._since = clock()
        self._messages = 0

    @property
    def seconds(self) -> float:
        """0 where nothing waits."""
        return max(0.0, self._clock() - self._since) if self._messages else 0.0

    def look(self, messages: int, *, is_taken_from: bool) -> None:
        """So many are ready, and whether a worker takes them, who then tells of their age."""
        if is_taken_from or not messages or messages < self._messages:
            self._since = self._clock()
        self._messages = messages


class QueueAges:
    """All ages of one process, in a gauge that computes them when it is read."""

    def __init__(self, gauge: Gauge, clock: Callable[[], float] = time.time) -> None:
        self._gauge = gauge
        self._clock = clock
        self._taken: dict[str, TakenAge] = {}
        self._watched: dict[str, WatchedAge] = {}
        self._shown: set[str] = set()

    def consume(self, queue: str) -> TakenAge:
        """This process takes from it, from now on."""
        age = self._taken[queue] = TakenAge(self._clock)
        self._gauge.labels(queue).set_function(lambda: age.seconds)
        return age

    async def look(self, broker: Broker) -> None:
        """Ask for the depth of what is consumed here."""
        for queue, age in tuple(self._taken.items()):
            state = await broker.queue_state(queue)
            if state is not None:
                age.look(state.messages)

    def watch(self, queue: str, state: QueueState) -> None:
        """Of any queue, as it is now. What a worker consumes is not shown: it knows better.

        `inbound.enriched` is consumed by others, who tell nothing.
        """
        if queue in self._taken:
            return
        age = self._watched.setdefault(queue, WatchedAge(self._clock))
        is_taken_from = state.consumers > 0 and queue != ENRICHED
        age.look(state.messages, is_taken_from=is_taken_from)
        if is_taken_from:
            self._hide(queue)
        elif queue not in self._shown:
            self._shown.add(queue)
            self._gauge.labels(queue).set_function(lambda: age.seconds)

    def forget(self) -> None:
        """Another process watches now."""
        for queue in tuple(self._shown):
            self._hide(queue)
        self._watched.clear()

    def _hide(self, queue: str) -> None:
        if queue in self._shown:
            self._shown.remove(queue)
            self._gauge.remove(queue)
