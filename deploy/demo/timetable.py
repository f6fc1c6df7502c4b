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
from uuid import uuid4

from deploy.demo.cast import Cast
from deploy.demo.customers import Customer, Incoming
from deploy.demo.day import CAMPAIGN_ID, NUMBERS, Day
from deploy.demo.invariants.evidence import ExpectedDeath, InboundSent, Outage, ReplySent
from deploy.demo.moving import PlatformOfCustomers
from deploy.demo.people import Hidden, Move
from deploy.demo.poison import Poison, make_poison
from deploy.demo.record import Record, now_s
from deploy.demo.wire import Publishing
from shared.amqp.topology import BROADCAST, INBOUND, OUTBOUND

#: Shares of the day: the launch and its repetition, and between which poison is spread.
_LAUNCHES: Final = (0.2, 0.3)
_POISON: Final = (0.25, 0.9)
#: A campaign goes out in batches of so many, over this share of the day: all at once it would be a rush hour.
_BATCH: Final = 10
_CAMPAIGN: Final = 0.4
#: When somebody writes to who has two notations, by the one that WhatsApp does not use.
_BY_OTHER: Final = 0.7
#: How long the day waits for a message to be with the agents before what is to come after it.
_SEEN_S: Final = 60.0
_LOOK_S: Final = 0.05
#: The platform tells whole seconds: within the one of a change, a number is its former owner's still.
_NEXT_SECOND_S: Final = 1.1

#: Kills a worker and returns once it is ready again.
Kill = Callable[[str], Awaitable[Outage]]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens `at_s` into the day."""

    at_s: float
    action: Callable[[], Coroutine[Any, Any, object]]


class Timetable:
    """Plays the day once."""

    def __init__(
        self,
        day: Day,
        cast: Cast,
        wire: Publishing,
        record: Record,
        kill: Kill,
        platform: PlatformOfCustomers,
    ) -> None:
        self._day = day
        self._cast = cast
        self._wire = wire
        self._record = record
        self._kill_worker = kill
        self._platform = platform
        self._late = {incoming.wamid for move in cast.people.moves for _, incoming in move.after}
        self._random = Random(day.seed)  # noqa: S311 - repeatable, not secret

    async def play(self) -> None:
        """Perform every step at its time; returns when all are done."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for step in sorted(self._timetable(), key=lambda step: step.at_s):
                # Waited even where it is late: here the day ends where a step has failed.
                await asyncio.sleep(max(0.0, started + step.at_s - time.monotonic()))
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
        for customer in self._cast.people.twofold:
            yield self._at(_BY_OTHER, partial(self._reply, customer, customer.others[0]))
        for hidden in self._cast.people.hidden:
            yield Step(hidden.joining.at_s, partial(self._invite, hidden))
        for move in self._cast.people.moves:
            yield Step(move.at_s, partial(self._move, move))

    def _at(self, share: float, action: Callable[[], Coroutine[Any, Any, object]]) -> Step:
        return Step(share * self._day.duration_s, action)

    def _writing(self, customer: Customer) -> Iterator[Step]:
        for incoming in customer.incoming:
            if incoming.wamid in self._late:
                continue
            for at_s in (incoming.at_s, *incoming.again_s):
                yield Step(at_s, partial(hand_in, customer, incoming, self._wire, self._record))

    async def _invite(self, hidden: Hidden) -> None:
        """A campaign to both addresses of a customer, once a message has told that they are one's."""
        await self._until_seen(hidden.joining.wamid)
        phone = hidden.customer.wa_id
        await self._wire.publish(
            BROADCAST, "campaign.launch", _make_invitation(hidden.customer, [hidden.user_id, phone])
        )

    async def _move(self, move: Move) -> None:
        """A number changes hands. Who has it next, and who had it, write once that is known."""
        customer, began = move.customer, time.monotonic()
        wamid = await self._platform.change_number(move.old, customer.wa_id, customer.number)
        self._record.inbound[wamid] = InboundSent(wamid, customer.key, now_s())
        await self._until_seen(wamid)
        await asyncio.sleep(max(0.0, began + _NEXT_SECOND_S - time.monotonic()))
        for writer, incoming in move.after:
            await asyncio.sleep(max(0.0, began + incoming.at_s - move.at_s - time.monotonic()))
            await hand_in(writer, incoming, self._wire, self._record)
        await self._until_seen(move.after[0][1].wamid)
        await self._reply(customer, customer.wa_id)

    async def _reply(self, customer: Customer, address: str) -> None:
        """A text to a customer by one of their addresses."""
        reply_id = str(uuid4())
        self._record.replies[reply_id] = ReplySent(reply_id, now_s())
        reply = {
            "wa_id": address,
            "phone_number_id": customer.number,
            "genesys_message_id": reply_id,
            "message_text": "By the way",
        }
        await self._wire.publish(OUTBOUND, f"reply.{address}", reply)

    async def _until_seen(self, wamid: str) -> None:
        """Returns once the agents' side has this message, or after a minute."""
        given_up = time.monotonic() + _SEEN_S
        while not self._record.has_seen(wamid) and time.monotonic() < given_up:  # noqa: ASYNC110 - rare
            await asyncio.sleep(_LOOK_S)

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
        stray = incoming.sender if incoming.is_stray else None
        record.inbound[incoming.wamid] = InboundSent(incoming.wamid, customer.key, now_s(), stray)
    await wire.publish(INBOUND, incoming.sender or customer.wa_id, customer.body(incoming, int(time.time())))


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
            {"wa_id": address, "variables": {"1": customer.name}}
            for customer in recipients
            for address in (*customer.others[:1], customer.wa_id)
        ],
    }


def _make_invitation(customer: Customer, addresses: Sequence[str]) -> dict[str, Any]:
    return {
        "campaign_id": f"invitation-{customer.wa_id}",
        "phone_number_id": customer.number,
        "template": {"name": "invitation", "language": "en"},
        "recipients": [{"wa_id": address} for address in addresses],
    }
