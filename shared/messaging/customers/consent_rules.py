"""What somebody says of a customer's consent, as values: events, and what changed by them. Pure.

Owns the words of sources and what each form of telling means. Which event counts is one fold, `consent.sql`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import asyncpg

from shared.durable.outbox import OutboxEvent, event
from shared.messaging.customers.words import ConsentWord
from shared.payloads import InboundMessage, encode
from shared.payloads.clock import CLOCK
from shared.payloads.consent import ConsentChange, ConsentChanged

ConsentKind: TypeAlias = Literal["marketing", "notifications"]

#: Who told: a word in a chat, the platform's refusal to deliver (131050), an operator, a refusal that
#: outlived an erasure.
MESSAGE: Final = "message"
DELIVERY: Final = "delivery"
OPERATOR: Final = "operator"
SUPPRESSION: Final = "suppression"
#: As the metric calls them; whoever has another name is `other`.
_COUNTED: Final = frozenset(
    {MESSAGE, DELIVERY, OPERATOR, SUPPRESSION, "core", "shop", "whatsapp", "preference"}
)


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One thing that a customer said. `address`: any of theirs; `at` None: now, by the database's clock.

    `value`: whether they want it. `evidence`: what proves it, such as the wamid of their message. `trace_id`:
    of what it came with.
    """

    address: str
    kind: ConsentKind
    value: bool
    source: str
    at: datetime | None
    evidence: str | None
    trace_id: str


@dataclass(frozen=True, slots=True)
class RecordedConsents:
    """What changed by some events, to be counted once it is committed, and what tells of it."""

    changes: Sequence["ChangedConsent"] = ()
    events: Sequence[OutboxEvent] = ()


@dataclass(frozen=True, slots=True)
class ChangedConsent:
    """What a customer wants from now on and did not before; said by `source`, `at` a time."""

    customer: str
    kind: ConsentKind
    value: bool
    source: str
    at: datetime
    evidence: str | None

    @property
    def counted_source(self) -> str:
        """The source as a label: one of few."""
        return self.source if self.source in _COUNTED else "other"

    def tell(self, trace_id: str) -> OutboxEvent:
        """`consent.changed`, to be recorded in the transaction of the change."""
        told = ConsentChanged(
            customer=self.customer,
            kind=self.kind,
            value=self.value,
            source=self.source,
            occurred_at=self.at,
            timestamp=CLOCK.now(),
            trace_id=trace_id,
        )
        aggregate = ("customer", self.customer)
        return event(told.event_type, encode(told), aggregate=aggregate, correlation_id=trace_id)


def events_of_word(
    word: ConsentWord, customer: str, message: InboundMessage, trace_id: str
) -> Iterator[ConsentEvent]:
    """A word in a customer's message. A yes to marketing lifts a no to everything."""
    wanted, at, wamid = word is ConsentWord.OPT_IN, message.timestamp, message.wamid
    yield ConsentEvent(customer, "marketing", wanted, MESSAGE, at, wamid, trace_id)
    if word is not ConsentWord.OPT_OUT:
        yield ConsentEvent(customer, "notifications", wanted, MESSAGE, at, wamid, trace_id)


def events_of_operator(customer: str, *, wanted: bool, by: str, trace_id: str) -> Iterator[ConsentEvent]:
    """What a customer told an operator of marketing, now. A yes lifts a no to everything."""
    yield ConsentEvent(customer, "marketing", wanted, OPERATOR, None, by, trace_id)
    if wanted:
        yield ConsentEvent(customer, "notifications", wanted, OPERATOR, None, by, trace_id)


def events_of_change(change: ConsentChange, trace_id: str) -> Iterator[ConsentEvent]:
    """What a payload says: one or both kinds."""
    said: tuple[tuple[ConsentKind, bool | None], ...] = (
        ("marketing", change.marketing),
        ("notifications", change.notifications),
    )
    for kind, value in said:
        if value is not None:
            said_at, evidence = change.occurred_at, change.evidence
            yield ConsentEvent(change.wa_id, kind, value, change.source, said_at, evidence, trace_id)


def changes_of(row: asyncpg.Record | Mapping[str, Any]) -> Iterator[ChangedConsent]:
    """What is new in a folded profile, beside its answers before."""
    if row["opt_in_marketing"] is not None and row["opt_in_marketing"] is not row["opted_in_before"]:
        yield ChangedConsent(
            row["phone"],
            "marketing",
            row["opt_in_marketing"],
            row["consent_source"],
            row["marketing_opted_at"],
            row["marketing_evidence"],
        )
    if row["notification_opt_out"] is not row["opted_out_before"]:
        yield ChangedConsent(
            row["phone"],
            "notifications",
            not row["notification_opt_out"],
            row["notifications_source"],
            row["notifications_at"],
            row["notifications_evidence"],
        )


def record_of(changes: Sequence[ChangedConsent], events: Sequence[ConsentEvent]) -> RecordedConsents:
    """What changed by these events; each change is traced as the event that it came by."""
    traces = {(item.address, item.kind, item.source, item.evidence): item.trace_id for item in events}
    told = [
        item.tell(traces.get((item.customer, item.kind, item.source, item.evidence), events[0].trace_id))
        for item in changes
    ]
    return RecordedConsents(changes, told)
