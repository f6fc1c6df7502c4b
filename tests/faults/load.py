"""The load of a run: the demo's customers, agents, poison and campaign, at a rate that two cores bear.

Owns how much of it there is. What they do is `deploy.demo`'s; everything goes by the steady wire, so all that
is recorded is accepted by the time the load is over.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aio_pika.abc import AbstractIncomingMessage

from deploy.demo.agents import Agents
from deploy.demo.cast import Cast, make_cast
from deploy.demo.day import LOCKED_NUMBER, Day
from deploy.demo.echo import Echo
from deploy.demo.gateway import AgentGateway
from deploy.demo.invariants.evidence import Outage
from deploy.demo.moving import PlatformOfCustomers
from deploy.demo.record import Record
from deploy.demo.timetable import Timetable
from shared.amqp.delivery import IDEMPOTENCY_KEY
from shared.amqp.pika.calling import BROKER_ERRORS
from shared.amqp.topology import ENRICHED
from tests.faults.erased import WAMIDS
from tests.faults.wire import SteadyWire, acknowledge

#: A customer causes about ten messages: what they write and its copies, what is said of it, the replies and
#: their statuses. So this makes forty a second.
_CUSTOMERS_PER_S: Final = 4.0
_LEAST_CUSTOMERS: Final = 120
_CAMPAIGN_SHARE: Final = 0.25
_OPTED_OUT: Final = 6
_SEVERAL: Final = 8
_CLOSINGS: Final = 8


def make_day(seed: int, duration_s: float, *, knows_persons: bool = True) -> Day:
    """The day that a seed plays for so long; without people of several addresses where nobody knows them."""
    customers = max(_LEAST_CUSTOMERS, int(duration_s * _CUSTOMERS_PER_S))
    return Day(
        seed=seed,
        customers=customers,
        campaign=int(customers * _CAMPAIGN_SHARE),
        opted_out=_OPTED_OUT,
        closings=_CLOSINGS,
        several=_SEVERAL if knows_persons else 0,
        duration_s=duration_s,
        kills=(),
    )


class Load:
    """Everybody who sends. `run` them in a task group, `play` once, `stop` at the end."""

    def __init__(
        self,
        day: Day,
        wire: SteadyWire,
        record: Record,
        echo: Echo,
        group: asyncio.TaskGroup,
        platform: PlatformOfCustomers,
    ) -> None:
        self.cast = _with_faults_of_the_rig_only(make_cast(day))
        self._known = {address for customer in self.cast.customers for address in customer.addresses}
        self._wire = wire
        self._player = Timetable(day, self.cast, wire, record, _kill_nobody, platform)
        self._agents = Agents(wire, record, echo, day.seed, group)
        self._agents.know(self.cast.customers)
        self._gateway = AgentGateway(wire, record, self._take_conversation)
        record.opted_out, record.too_long = self.cast.opted_out, self.cast.too_long
        record.known_as = self.cast.known_as

    @property
    def agents_at_work(self) -> int:
        """Conversations that are being answered."""
        return self._agents.at_work

    async def run(self) -> None:
        """Be the agent platform's gateway, until cancelled."""
        await self._wire.consume(ENRICHED, self._take)

    async def play(self) -> None:
        """Offer the day's load; returns when all of it is accepted."""
        await self._player.play()

    def stop(self) -> None:
        """Send the agents home."""
        self._agents.stop()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        if str(message.headers.get(IDEMPOTENCY_KEY)).startswith(WAMIDS):
            await acknowledge(message)
            return
        with suppress(*BROKER_ERRORS):  # not acknowledged: the broker delivers it again
            await self._gateway.take(message)

    def _take_conversation(self, conversation_id: str, wa_id: str, wamid: str) -> None:
        if wa_id in self._known:  # nobody answers a probe but its prober
            self._agents.take(conversation_id, wa_id, wamid)


async def _kill_nobody(worker: str) -> Outage:
    raise AssertionError(f"the day of a fault rig kills nobody, not {worker}")


def _with_faults_of_the_rig_only(cast: Cast) -> Cast:
    """Without the customers who have a number paused or stand behind a firewall: that is for the schedule."""
    customers = [item for item in cast.customers if item.number != LOCKED_NUMBER and not item.is_blocked]
    return replace(cast, customers=tuple(customers), bystanders=())
