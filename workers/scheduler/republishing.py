"""What waits to be published: deferred messages that are due, and events that nobody marked.

Owns that destinations do not wait for each other: each is looked at by itself, at once with the others, and
one that refuses is left alone for a while, longer each time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from shared.amqp.broker import Broker
from shared.amqp.topology import LANES
from shared.coordination.permits import rate_of
from shared.durable.deferral import DeferralStore, Window
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.errors import Unpublishable
from shared.observability.logs import Operation, fields, get_logger
from shared.settings.settings import Settings

logger = get_logger(__name__)


class Destinations:
    """Which destinations take what they are given, and since when others are left alone."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._pauses: dict[str, tuple[float, float]] = {}

    async def serve(self, destinations: Iterable[str], work: Callable[[str], Awaitable[int | None]]) -> int:
        """Work all that are not left alone, at once; `work` gives how many went, or None where one refused.

        Raises what one raised when all have ended.
        """
        clock = asyncio.get_running_loop().time
        due = [name for name in destinations if self._pauses.get(name, (0.0, 0.0))[0] <= clock()]
        outcomes = await asyncio.gather(*map(work, due), return_exceptions=True)
        for name, outcome in zip(due, outcomes, strict=True):
            if outcome is not None:
                self._pauses.pop(name, None)
                continue
            pause_s = min(self._longest_s, 2 * self._pauses.get(name, (0.0, self._first_s / 2))[1])
            self._pauses[name] = (clock() + pause_s, pause_s)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome for outcome in outcomes if isinstance(outcome, int))


class DeferredJob:
    """Publishes due deferred messages to their queues; each row stays until its message is handled.

    Never more of a lane than its consumers will soon have in hand, so that fresh messages of others do not
    wait behind a backlog, nor a backlog behind its own copies.
    """

    def __init__(
        self, deferrals: DeferralStore, broker: Broker, settings: Settings, durations: Durations
    ) -> None:
        self._deferrals = deferrals
        self._broker = broker
        self._settings = settings
        self._durations = durations
        self._destinations = Destinations(durations.scheduler_tick_s, durations.refused_pause_max_s)

    async def run(self) -> int:
        """Look for the length of a tick, as long as there is something; returns how many were confirmed."""
        return await self._destinations.serve(await self._deferrals.queues(), self._work_off)

    async def _work_off(self, queue: str) -> int | None:
        state = await self._broker.queue_state(queue)
        is_empty = state is not None and state.messages == 0
        window = self._window(queue, 1 if state is None else state.consumers)
        clock = asyncio.get_running_loop().time
        until, confirmed = clock() + self._durations.scheduler_tick_s, 0
        while due := await self._deferrals.claim_due(queue, window, is_empty=is_empty):
            is_empty = False
            outcomes = await self._broker.publisher.publish([item.publication for item in due])
            failed = []
            for item, error in zip(due, outcomes, strict=True):
                if isinstance(error, Unpublishable):
                    await self._deferrals.set_aside(item.id, error)
                elif error is not None:
                    failed.append(item.id)
                else:
                    confirmed += 1
            if failed:
                await self._deferrals.unclaim(failed)
                logger.warning(
                    "%d deferred messages for %s could not be published yet",
                    len(failed),
                    queue,
                    extra=fields(operation=Operation.DEFERRED_RELEASE),
                )
                return None
            if clock() >= until:
                break
            await asyncio.sleep(self._durations.deferred_look_s)
        return confirmed

    def _window(self, queue: str, consumers: int) -> Window:
        durations, settings = self._durations, self._settings
        if queue not in LANES:
            return Window(total=durations.deferred_rows, other=durations.deferred_rows)
        rates = {number: self._rate(settings.number(number).mps) for number in settings.whatsapp_numbers}
        return Window(
            total=durations.deferred_window * max(1, consumers),
            other=self._rate(settings.whatsapp_number_mps),
            by_number=rates,
        )

    def _rate(self, mps: float) -> int:
        """Messages of a second."""
        return max(1, int(rate_of(mps, self._durations)))


class FollowersJob:
    """A net below the senders: lets go what waits behind nobody any more."""

    def __init__(self, deferrals: DeferralStore) -> None:
        self._deferrals = deferrals

    async def run(self) -> int:
        """Look once; returns how many were found."""
        found = await self._deferrals.release_forgotten()
        if found:
            logger.warning(
                "%d deferred messages waited behind messages that are gone",
                found,
                extra=fields(operation=Operation.DEFERRED_RELEASE),
            )
        return found


class UnmarkedJob:
    """Publishes events whose writer died, or could not, before they were marked."""

    def __init__(self, outbox: Outbox, durations: Durations) -> None:
        self._outbox = outbox
        self._rows = durations.deferred_rows
        self._destinations = Destinations(durations.unmarked_after_s / 3, durations.refused_pause_max_s)

    async def run(self) -> int:
        """Publish all that is left; returns how many were confirmed."""
        total = await self._destinations.serve(await self._outbox.destinations(), self._work_off)
        if total:
            logger.info(
                "%d events were published for others",
                total,
                extra=fields(operation=Operation.UNMARKED_PUBLICATION),
            )
        return total

    async def _work_off(self, destination: str) -> int | None:
        total = 0
        while events := await self._outbox.claim_unmarked(destination, self._rows):
            confirmed = await self._outbox.publish(events)
            total += confirmed
            if confirmed < len(events):
                return None
        return total
