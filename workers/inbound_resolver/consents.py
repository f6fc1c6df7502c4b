"""Words of consent in customers' messages: kept in the transaction of the message, and answered.

Owns whom an answer goes to, and how it is named; which texts are words is `shared.messaging.customers.words`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.amqp.topology import LANES, OUTBOUND, OUTBOUND_REPLY
from shared.commerce.notices.planning import take_back_refused
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import Durations
from shared.ids import time_ordered_uuid
from shared.messaging.customers.consent import (
    count_changes,
    mark_answered,
    record_of_customers,
    restore_suppressed,
)
from shared.messaging.customers.consent_file import ConsentTexts
from shared.messaging.customers.consent_rules import ChangedConsent, RecordedConsents, events_of_word
from shared.messaging.customers.suppressions import Suppressions
from shared.observability.metrics import Metrics
from shared.payloads import OutboundMessage, encode
from shared.payloads.clock import CLOCK
from shared.postgres.database import Connection
from workers.inbound_resolver.intake import Inbound


class ConsentKeeper:
    """Keeps what new messages say of consent, and a refusal of before an erasure of whoever is new."""

    def __init__(
        self,
        outbox: Outbox,
        metrics: Metrics,
        texts: ConsentTexts,
        suppressions: Suppressions,
        durations: Durations,
        default_number: str,
    ) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._texts = texts
        self._suppressions = suppressions
        self._answer_again = timedelta(seconds=durations.consent_answer_s)
        self._window = timedelta(hours=durations.window_h)
        self._default_number = default_number

    async def keep(
        self, connection: Connection, inbounds: Sequence[Inbound], rows: Mapping[str, Any]
    ) -> RecordedConsents:
        """In the transaction that tracks these messages, told as `rows` by wamid; their customers are held.

        What it gives is told and counted after the commit. Raises StoreError.
        """
        spoken = [item for item in inbounds if item.consent is not None]
        opened = [row["customer"] for row in rows.values() if row["opened"]]
        if not spoken and not opened:
            return RecordedConsents()
        trace_id = inbounds[0].trace_id
        restored = await restore_suppressed(connection, opened, self._suppressions, trace_id)
        said = [
            event
            for item in spoken
            if item.consent is not None
            for event in events_of_word(
                item.consent, rows[item.message.wamid]["customer"], item.message, item.trace_id
            )
        ]
        recorded = await record_of_customers(connection, said, self._suppressions)
        await take_back_refused(connection, recorded.changes)
        answers = await self._answer(connection, spoken, recorded.changes)
        kept = RecordedConsents(
            [*restored.changes, *recorded.changes], [*restored.events, *recorded.events, *answers]
        )
        await self._outbox.record(connection, kept.events)
        return kept

    async def tell(self, kept: RecordedConsents) -> None:
        """After the commit."""
        count_changes(self._metrics, kept.changes)
        await self._outbox.publish(kept.events)

    async def _answer(
        self,
        connection: Connection,
        spoken: Sequence[Inbound],
        changes: Sequence[ChangedConsent],
    ) -> list[OutboxEvent]:
        """One answer for each customer for whom something changed, while they may be answered at all."""
        since = CLOCK.now() - self._window
        by_wamid = {item.message.wamid: item for item in spoken if item.message.timestamp > since}
        asked = {
            change.customer: change.evidence
            for change in changes
            if change.evidence is not None and change.evidence in by_wamid
        }
        languages = await mark_answered(connection, sorted(asked.items()), self._answer_again)
        return [
            self._answer_to(by_wamid[asked[customer]], customer, language)
            for customer, language in languages.items()
        ]

    def _answer_to(self, inbound: Inbound, customer: str, language: str | None) -> OutboxEvent:
        assert inbound.consent is not None
        answer = OutboundMessage(
            wa_id=inbound.address,
            phone_number_id=inbound.message.phone_number_id or self._default_number,
            client_message_id=f"consent:{hashlib.sha256(inbound.message.wamid.encode()).hexdigest()[:32]}",
            category="service",
            message_text=self._texts.answer(inbound.consent, language),
        )
        return OutboxEvent(
            id=time_ordered_uuid(),
            aggregate_id=customer,
            aggregate_type="customer",
            event_type=OutboundMessage.__name__,
            payload=encode(answer),
            correlation_id=inbound.trace_id,
            exchange=OUTBOUND,
            routing_key=f"{LANES[OUTBOUND_REPLY]}.{inbound.address}",
        )
