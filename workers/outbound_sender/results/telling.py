"""Telling of messages that are not sent now: how one ended, once more; that a conversation is not known yet.

Owns `outbound.waiting`, and finding the event by which a message's end was told. Both go out by the outbox,
so that a crash loses neither, and each keeps its key: an end that of its first telling, a wait one that is
made of the message.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.payloads import OutboundWaiting, encode
from shared.payloads.clock import CLOCK
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from workers.outbound_sender.message import Repeated, Unaddressed

_QUERIES = Queries("workers.outbound_sender.results")
#: Of the ids of `outbound.waiting`.
_WAITING: Final = UUID("1d0a5a2e-6a0c-4b47-9c4e-6f1f0f6c7f35")


class Teller:
    """Tells, for all lanes."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def tell(self, untold: Sequence[Repeated | Unaddressed]) -> None:
        """Record and publish; what cannot be published now is left to the scheduler. Raises StoreError.

        May be repeated. A message whose end was told longer ago than the outbox keeps is not told of.
        """
        repeated = [item.message_id for item in untold if isinstance(item, Repeated)]
        waiting = [_waiting(item) for item in untold if isinstance(item, Unaddressed)]
        async with self._database.transaction() as connection:
            found = await connection.fetch(_QUERIES["find_told"], repeated) if repeated else []
            again = await self._outbox.reopen(connection, [row["id"] for row in found])
            new = await self._outbox.record_once(connection, waiting)
        await self._outbox.publish([*again, *new])


def _waiting(item: Unaddressed) -> OutboxEvent:
    """The same event, by its id, for every delivery of a message and for its repetitions."""
    message = item.payload
    ids = (message.genesys_message_id, message.client_message_id, item.content_hash.hex())
    unknown = message.model_extra or {}
    values = {
        **{name: value for name, value in unknown.items() if name not in OutboundWaiting.model_fields},
        "conversation_id": message.conversation_id,
        "wa_id": message.wa_id,
        "customer": item.customer,
        "phone_number_id": message.phone_number_id,
        "genesys_message_id": message.genesys_message_id,
        "client_message_id": message.client_message_id,
        "campaign_id": message.campaign_id,
        "timestamp": CLOCK.now(),
        "metadata": message.metadata,
        "trace_id": item.trace_id,
    }
    told = event(
        OutboundWaiting.EVENT_TYPE,
        encode(OutboundWaiting.model_construct(**values)),
        aggregate=("conversation", message.conversation_id),
        correlation_id=item.trace_id,
    )
    return replace(told, id=uuid5(_WAITING, repr(ids)))
