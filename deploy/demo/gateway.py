"""The agent platform's gateway, simulated: takes enriched messages, opens conversations, reports progress.

Owns deduplication by `x-idempotency-key` and the conversation of each mapping. What agents then say is
`deploy.demo.agents`.
"""

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import orjson

from deploy.demo.invariants.evidence import Correlated, EnrichedSeen
from deploy.demo.record import Record, now_s
from deploy.demo.wire import Publishing, Wire
from shared.amqp.delivery import IDEMPOTENCY_KEY
from shared.amqp.session import Arrived
from shared.amqp.topology import CORRELATION, ENRICHED, STATUS

#: Called with a new conversation, the customer's `wa_id` and the wamid that opened it.
OnConversation = Callable[[str, str, str], None]


class AgentGateway:
    """Takes what arrives on `inbound.enriched`."""

    def __init__(self, wire: Publishing, record: Record, on_conversation: OnConversation) -> None:
        self._wire = wire
        self._record = record
        self._on_conversation = on_conversation
        self._conversations: dict[str, str] = {}

    async def run(self, wire: Wire) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as group, wire.consumed(ENRICHED) as messages:
            async for message in messages:
                group.create_task(self.take(message))

    async def take(self, message: Arrived) -> None:
        """Note it, answer it if it is new, acknowledge it.

        Nothing is awaited before it is noted: the order of notes is the order of arrival.
        """
        enriched = orjson.loads(message.body)
        seen = EnrichedSeen(
            key=str(message.headers.get(IDEMPOTENCY_KEY)),
            wamid=enriched["wamid"],
            mapping_id=enriched["mapping_id"],
            is_new=enriched["is_new_conversation"],
            at=now_s(),
        )
        if self._record.see(seen):
            await self._open(seen, enriched["wa_id"])
            await self._report_processed(seen.wamid)
        await message.ack()

    async def _open(self, seen: EnrichedSeen, wa_id: str) -> None:
        """The first message of a mapping opens a conversation."""
        if seen.mapping_id in self._conversations:
            return
        conversation_id = self._conversations[seen.mapping_id] = str(uuid4())
        await self._wire.publish(
            CORRELATION,
            "genesys",
            {
                "conversation_id": conversation_id,
                "communication_id": str(uuid4()),
                "whatsapp_message_id": seen.wamid,
            },
        )
        self._record.correlated.append(Correlated(seen.mapping_id, conversation_id))
        self._on_conversation(conversation_id, wa_id, seen.wamid)

    async def _report_processed(self, wamid: str) -> None:
        self._record.processed[wamid] = now_s()
        await self._wire.publish(
            STATUS, "genesys", {"wamid": wamid, "status": "processed", "timestamp": int(time.time())}
        )
