"""The queues: what RabbitMQ tells of each at one look, and what follows from several looks.

RabbitMQ tells nobody how old the oldest message of a quorum queue is, and to take one would count as a
delivery. So a wait is told by its bounds: what is in a queue that was empty a while ago has waited for less,
what nobody has taken for a while has waited for longer.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from shared.amqp.broker import QueueState
from shared.amqp.client import open_session
from shared.amqp.session import Session
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES, tier_queue
from shared.durations import RETRY_TIER_NAMES
from shared.errors import BrokerUnavailable
from shared.settings.server_urls import UrlSource

#: A rate is that of the last seconds: of two looks alone it would jump.
_WINDOW_S: Final = 10.0
_ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue at the last look. `ready`: None where it is not there. `retrying`: by delay queue.

    `change_per_s`: of `ready`, over the last ten seconds. The oldest that is ready has waited there for
    `waits_at_least_s` (nobody took any meanwhile) and `waits_at_most_s` (it was empty then); None: not known.
    """

    queue: str
    ready: int | None
    consumers: int
    retrying: Mapping[str, int]
    change_per_s: float | None
    waits_at_least_s: float | None
    waits_at_most_s: float | None


@dataclass(slots=True)
class _Seen:
    """What is remembered of a queue: its depths lately, since when nobody took any, when it was empty."""

    depths: deque[tuple[float, int]] = field(default_factory=deque)
    untaken_since: float | None = None
    empty_at: float | None = None


class QueueHistory:
    """What follows from looks at the same queues. Pure: the time of each look is given."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def note(self, at: float, states: Mapping[str, QueueState], queues: Sequence[str]) -> list[QueueLine]:
        """A line for each of `queues`. `states`: of those that are there, delay queues among them."""
        return [self._line(at, queue, states) for queue in queues]

    def _line(self, at: float, queue: str, states: Mapping[str, QueueState]) -> QueueLine:
        tiers = {name: tier_queue(queue, attempt) for attempt, name in enumerate(RETRY_TIER_NAMES, start=1)}
        retrying = {name: states[tier].messages for name, tier in tiers.items() if tier in states}
        state = states.get(queue)
        if state is None:
            self._seen.pop(queue, None)
            return QueueLine(queue, None, 0, retrying, None, None, None)
        seen = self._seen.setdefault(queue, _Seen())
        _remember(seen, at, state)
        (first_at, first), (last_at, last) = seen.depths[0], seen.depths[-1]
        return QueueLine(
            queue,
            state.messages,
            state.consumers,
            retrying,
            change_per_s=round((last - first) / (last_at - first_at), 1) if last_at > first_at else None,
            waits_at_least_s=_since(seen.untaken_since, at),
            waits_at_most_s=_since(seen.empty_at, at) if state.messages else None,
        )


def _remember(seen: _Seen, at: float, state: QueueState) -> None:
    before = seen.depths[-1][1] if seen.depths else 0
    if not state.messages:
        seen.empty_at = at
    if state.consumers or not state.messages:
        seen.untaken_since = None
    elif seen.untaken_since is None or state.messages < before:  # someone purged it, or was here between
        seen.untaken_since = at
    seen.depths.append((at, state.messages))
    while at - seen.depths[0][0] > _WINDOW_S:
        seen.depths.popleft()


def _since(then: float | None, at: float) -> float | None:
    return None if then is None else at - then


class QueueReader:
    """Asks RabbitMQ for all queues, on one connection for as long as that lasts."""

    def __init__(self, url: UrlSource, *, enriched_queue: bool) -> None:
        self._url = url
        self._queues = (*WORK_QUEUES, DLQ_HANDLER, *((ENRICHED,) if enriched_queue else ()))
        attempts = range(1, len(RETRY_TIER_NAMES) + 1)
        tiers = (tier_queue(queue, attempt) for queue in (*WORK_QUEUES, DLQ_HANDLER) for attempt in attempts)
        self._asked = (*self._queues, *tiers)
        self._history = QueueHistory()
        self._opened = AsyncExitStack()
        self._session: Session | None = None

    async def read(self) -> list[QueueLine]:
        """A line for each queue. Raises BrokerUnavailable, after seconds at most; then connects anew."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                states = await self._ask()
        except TimeoutError as error:
            await self.close()
            raise BrokerUnavailable(f"no answer within {_ANSWER_S:g} s") from error
        except BaseException:
            await self.close()
            raise
        return self._history.note(asyncio.get_running_loop().time(), states, self._queues)

    async def _ask(self) -> Mapping[str, QueueState]:
        if self._session is None:
            opening = open_session(self._url(), "wabus top")
            self._session = await self._opened.enter_async_context(opening)
        return await self._session.queue_states(self._asked)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        self._session = None
        await self._opened.aclose()
