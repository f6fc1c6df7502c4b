"""Recovery, measured: messages that nobody has seen before, from their publish until they are through.

Owns the probes, which are part of the recorded load: whatever judges it judges them too.
"""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from deploy.demo.day import NUMBERS
from deploy.demo.invariants.evidence import ExpectedDeath, InboundSent, ReplySent
from deploy.demo.record import Record, now_s
from shared.amqp.topology import BROADCAST, INBOUND, OUTBOUND
from tests.faults.event_log import EventLog
from tests.faults.fault import Probe
from tests.faults.wire import SteadyWire

_AT_ONCE: Final = 4
_GIVE_UP_S: Final = 90.0
_SOON: Final = timedelta(seconds=1)


class Prober:
    """Probes of one run. No two have the same customer."""

    def __init__(self, wire: SteadyWire, record: Record, ear: EventLog) -> None:
        self._wire = wire
        self._record = record
        self._ear = ear
        self._numbers = itertools.count()

    async def pass_through(self, path: Probe) -> float:
        """When messages that are published now were through, in epoch seconds.

        After a minute and a half it gives up, and says infinity.
        """
        try:
            async with asyncio.timeout(_GIVE_UP_S), asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._send(path))
        except TimeoutError:
            return float("inf")
        return now_s()

    async def _send(self, path: Probe) -> None:
        customer = f"49178{next(self._numbers):05d}100"
        match path:
            case "chat":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._write(customer))
                    group.create_task(self._reply(customer))
            case "campaign":
                await self._launch(customer)
            case "dead letter":
                await self._die(customer)
            case "scheduled campaign":
                await self._launch(customer, scheduled_at=datetime.now(UTC) + _SOON)

    async def _write(self, customer: str) -> None:
        """A customer writes, until it is told enriched."""
        wamid = f"wamid.probe.{uuid4()}"
        self._record.inbound[wamid] = InboundSent(wamid, f"{NUMBERS[0]}/{customer}", now_s())
        body = {
            "wamid": wamid,
            "wa_id": customer,
            "timestamp": int(time.time()),
            "message_text": "hello",
            "phone_number_id": NUMBERS[0],
        }
        await self._wire.publish(INBOUND, customer, body)
        await self._ear.wait_for("inbound.enriched", wamid=wamid)

    async def _reply(self, customer: str) -> None:
        """A reply to a customer, until its delivery is told."""
        reply_id = str(uuid4())
        self._record.replies[reply_id] = ReplySent(reply_id, now_s())
        body = {
            "wa_id": customer,
            "phone_number_id": NUMBERS[1],
            "genesys_message_id": reply_id,
            "message_text": "hello",
        }
        await self._wire.publish(OUTBOUND, f"reply.{customer}", body)
        await self._ear.wait_for("message.updated", genesys_message_id=reply_id, new_status="delivered")

    async def _launch(self, customer: str, scheduled_at: datetime | None = None) -> None:
        """A campaign to one customer, until it is done."""
        campaign_id = f"probe-{uuid4()}"
        body: dict[str, Any] = {
            "campaign_id": campaign_id,
            "phone_number_id": NUMBERS[0],
            "template": {"name": "probe", "language": "en"},
            "recipients": [{"wa_id": customer}],
        }
        if scheduled_at is not None:
            body["scheduled_at"] = scheduled_at.isoformat()
        await self._wire.publish(BROADCAST, "campaign.launch", body)
        await self._ear.wait_for("outbound.sent", campaign_id=campaign_id)

    async def _die(self, customer: str) -> None:
        """A message to a lane that does not exist, until it is stored as a dead letter."""
        probe_id = str(uuid4())
        body = b'{"client_message_id":"%s","wa_id":"%s"}' % (probe_id.encode(), customer.encode())
        self._record.deaths.append(ExpectedDeath("a probe", body, "unrouted"))
        await self._wire.publish(OUTBOUND, f"pigeon.{customer}", body)
        await self._ear.wait_for("deadletter.stored", original_payload=_payload(probe_id, customer))


def _payload(probe_id: str, customer: str) -> dict[str, str]:
    return {"client_message_id": probe_id, "wa_id": customer}
