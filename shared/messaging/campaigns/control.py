"""An operator's control of a campaign: recorded, published, and looked after for a moment.

Owns which controls make sense to request; carrying them out is the broadcast-batcher's.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import uuid4

from shared.amqp.broker import Publisher
from shared.amqp.topology import BROADCAST
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.ids import time_ordered_uuid
from shared.payloads import CampaignControl, encode
from shared.postgres.audit import record_audit
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.campaigns", "control.sql")
#: How often, and with which pauses, a control's effect is looked for.
_LOOKS: Final = 30
_LOOK_S: Final = 0.1

Action: TypeAlias = Literal["pause", "resume", "cancel"]


class UnknownCampaign(WabusError):  # noqa: N818 - it says what happened
    """No campaign has this id."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """How the campaign stands after the control. `carried_out` False: nobody has taken it up so far."""

    status: str
    carried_out: bool


async def request_control(
    database: Database, publisher: Publisher, action: Action, campaign_id: str, actor: str
) -> Controlled:
    """Request a control and wait a moment for its effect.

    Raises UnknownCampaign, and WabusError where it can have none. To cancel twice is no error, and is not
    requested again.
    """
    outbox = Outbox(database, publisher, DURATIONS)
    async with database.transaction() as connection:
        requested_at = await _check(connection, action, campaign_id)
        if requested_at is None:
            return Controlled("cancelled", carried_out=True)
        events = [_control_message(action, campaign_id, requested_at, actor)]
        await outbox.record(connection, events)
        await record_audit(
            connection, actor=actor, action=f"campaign.{action}", subject=campaign_id, details={}
        )
    await outbox.publish(events)
    return await _wait(database, campaign_id, requested_at)


async def is_cancellable(database: Database, campaign_id: str) -> bool:
    """Whether it is there and has not ended."""
    found = await database.fetchrow(_QUERIES["find"], campaign_id)
    return found is not None and found["status"] not in ("cancelled", "done")


async def _check(connection: Connection, action: Action, campaign_id: str) -> datetime | None:
    """The database's time of the request; None where it was cancelled and shall be."""
    found = await connection.fetchrow(_QUERIES["find"], campaign_id)
    if found is None:
        raise UnknownCampaign(f"no campaign {campaign_id}")
    if found["status"] == "cancelled" and action == "cancel":
        return None
    if found["status"] in ("cancelled", "done"):
        raise WabusError(f"campaign {campaign_id} is {found['status']}: there is nothing to {action}")
    at: datetime = found["at"]
    return at


async def _wait(database: Database, campaign_id: str, requested_at: datetime) -> Controlled:
    for _ in range(_LOOKS):
        status = await database.fetchval(_QUERIES["is_carried_out"], campaign_id, requested_at)
        if status is not None:
            return Controlled(status, carried_out=True)
        await asyncio.sleep(_LOOK_S)
    found = await database.fetchrow(_QUERIES["find"], campaign_id)
    return Controlled("unknown" if found is None else found["status"], carried_out=False)


def _control_message(action: Action, campaign_id: str, requested_at: datetime, actor: str) -> OutboxEvent:
    control = CampaignControl(
        campaign_id=campaign_id, action=action, requested_at=requested_at, requested_by=actor
    )
    return OutboxEvent(
        id=time_ordered_uuid(),
        aggregate_id=campaign_id,
        aggregate_type="broadcast_campaign",
        event_type=CampaignControl.__name__,
        payload=encode(control),
        correlation_id=uuid4().hex,
        exchange=BROADCAST,
        routing_key=f"campaign.{action}",
    )
