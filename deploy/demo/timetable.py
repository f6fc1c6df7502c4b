"""The day itself: everything that happens at its time.

Owns the timetable: customers' messages and their repetitions, the campaign, poison, and killed workers. What
agents do follows from what the cluster tells them, and is not here.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from deploy.demo.customers import Cast, Customer, Incoming
from deploy.demo.day import CAMPAIGN_ID, NUMBERS, Day
from deploy.demo.invariants.evidence import ExpectedDeath, InboundSent, Outage
from deploy.demo.poison import Poison, make_poison
from deploy.demo.record import Record, now_s
from deploy.demo.wire import Publishing
from shared.amqp.topology import BROADCAST, INBOUND

#: Shares of the day: the launch and its repetition, and between which poison is spread.
_LAUNCHES: Final = (0.2, 0.3)
_POISON: Final = (0.25, 0.9)
#: A campaign goes out in batches of so many, over this share of the day: all at once it would be a rush hour.
_BATCH: Final = 10
_CAMPAIGN: Final = 0.4

#: Kills a worker and returns once it is ready again.
Kill = Callable[[str], Awaitable[Outage]]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens `at_s` into the day."""

    at_s: float
    action: Callable[[], Coroutine[Any, Any, object]]


class Timetable:
    """Plays the day once."""

    def __init__(self, day: Day, cast: Cast, wire: Publishing, record: Record, kill: Kill) -> None:
        self._day = day
        self._cast = cast
        self._wire = wire
        self._record = record
        self._kill_worker = kill
        self._random = Random(day.seed)  # noqa: S311 - repeatable, not secret

    async def play(self) -> None:
        """Perform every step at its time; returns when all are done."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for step in sorted(self._timetable(), key=lambda step: step.at_s):
                if (wait_s := started + step.at_s - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                group.create_task(step.action(), name="step")

    def _timetable(self) -> Iterator[Step]:
        for customer in self._cast.customers:
            yield from self._writing(customer)
        launch = make_launch(self._cast.recipients, self._day.duration_s)
        for share in _LAUNCHES:
            yield self._at(share, partial(self._wire.publish, BROADCAST, "campaign.launch", launch))
        for poison in make_poison(self._early_wamid()):
            yield self._at(self._random.uniform(*_POISON), partial(self._poison, poison))
        for share, worker in self._day.kills:
            yield self._at(share, partial(self._kill, worker))

    def _at(self, share: float, action: Callable[[], Coroutine[Any, Any, object]]) -> Step:
        return Step(share * self._day.duration_s, action)

    def _writing(self, customer: Customer) -> Iterator[Step]:
        for incoming in customer.incoming:
            for at_s in (incoming.at_s, *incoming.again_s):
                yield Step(at_s, partial(hand_in, customer, incoming, self._wire, self._record))

    async def _poison(self, poison: Poison) -> None:
        self._record.deaths.append(ExpectedDeath(poison.what, poison.body, poison.reason))
        await self._wire.publish(poison.exchange, poison.routing_key, poison.body)

    async def _kill(self, worker: str) -> None:
        self._record.outages.append(await self._kill_worker(worker))

    def _early_wamid(self) -> str:
        by_time = min(self._cast.customers, key=lambda customer: customer.incoming[0].at_s)
        return by_time.incoming[0].wamid


async def hand_in(customer: Customer, incoming: Incoming, wire: Publishing, record: Record) -> None:
    """A gateway hands in a message; the first time counts."""
    if incoming.wamid in record.inbound:
        record.inbound_copies += 1
    else:
        record.inbound[incoming.wamid] = InboundSent(incoming.wamid, customer.key, now_s())
    await wire.publish(INBOUND, customer.wa_id, customer.body(incoming, int(time.time())))


def make_launch(recipients: Sequence[Customer], duration_s: float) -> dict[str, Any]:
    """The campaign's `BroadcastCampaign` on a day of so long: a template with the customer's name."""
    batches = max(1, len(recipients) / _BATCH)
    return {
        "campaign_id": CAMPAIGN_ID,
        "name": "Spring offer",
        "phone_number_id": NUMBERS[1],
        "template": {"name": "spring_offer", "language": "en"},
        "batch_size": _BATCH,
        "batch_delay_ms": int(duration_s * _CAMPAIGN * 1000 / batches),
        "recipients": [
            {"wa_id": customer.wa_id, "variables": {"1": customer.name}} for customer in recipients
        ],
    }
