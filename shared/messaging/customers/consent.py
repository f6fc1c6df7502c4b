"""A customer's consent: what was said of it, by whom, and what follows of all that.

Owns the table `consent_events` and the answers in `customer_profiles`, which are nothing but their fold: of
each kind the latest event counts, at equal times a refusal. So events may come in any order, twice, or on two
replicas.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from shared.durable.outbox import leave_to_scheduler
from shared.errors import StoreConflict
from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.consent_rules import (
    DELIVERY,
    ChangedConsent,
    ConsentEvent,
    ConsentKind,
    RecordedConsents,
    changes_of,
    events_of_operator,
    record_of,
)
from shared.messaging.customers.notation import kind_of, platform_notation
from shared.messaging.customers.suppressions import Suppressions
from shared.observability.metrics import Metrics
from shared.postgres.audit import record_audit
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "consent.sql")
_NO_SUPPRESSIONS: Final = Suppressions()


@dataclass(frozen=True, slots=True)
class Consent:
    """What they want since when. `before`: what they had said; None: they were never asked."""

    phone: str
    opt_in_marketing: bool
    marketing_opted_at: datetime
    before: bool | None


@dataclass(frozen=True, slots=True)
class StoredConsent:
    """A row of `consent_events`: the proof of one answer. `answered_at`: when the customer was told."""

    kind: ConsentKind
    value: bool
    source: str
    occurred_at: datetime
    received_at: datetime
    evidence: str | None
    answered_at: datetime | None


async def record_consent_events(
    connection: Connection, events: Sequence[ConsentEvent], suppressions: Suppressions = _NO_SUPPRESSIONS
) -> RecordedConsents:
    """Keep what is said of whoever has these addresses, and fold it. In the caller's transaction.

    Each event is kept once. What is given tells of changes: the caller records its `events` in the outbox, in
    the same transaction, and counts its `changes` afterwards (`count_changes`). A refusal binds once it is
    committed. Raises StoreError.
    """
    if not events:
        return RecordedConsents()
    whose = await _hold_customers(connection, {item.address for item in events})
    named = [replace(item, address=whose[item.address]) for item in events]
    return await record_of_customers(connection, named, suppressions)


async def record_of_customers(
    connection: Connection, events: Sequence[ConsentEvent], suppressions: Suppressions = _NO_SUPPRESSIONS
) -> RecordedConsents:
    """As `record_consent_events`, of customers by their keys, whom the caller keeps from being joined."""
    if not events:
        return RecordedConsents()
    customers = sorted({item.address for item in events})
    held = await _open_profiles(connection, customers)
    return await _keep(
        connection, held, [*events, *await suppressions.find(connection, customers, events[0].trace_id)]
    )


async def restore_suppressed(
    connection: Connection, customers: Iterable[str], suppressions: Suppressions, trace_id: str
) -> RecordedConsents:
    """Refusals of before an erasure count again for these customers, whom nobody joins meanwhile."""
    suppressed = await suppressions.find(connection, sorted(set(customers)), trace_id)
    if not suppressed:
        return RecordedConsents()
    held = await _open_profiles(connection, sorted({item.address for item in suppressed}))
    return await _keep(connection, held, suppressed)


async def record_opt_outs(connection: Connection, messages: Mapping[UUID, str]) -> RecordedConsents:
    """The customers of these messages (with their traces) want no marketing from now on (131050).

    In the caller's transaction, as `record_consent_events`. Told again it changes nothing: when they said it
    is kept. After a yes it counts anew.
    """
    if not messages:
        return RecordedConsents()
    rows = await connection.fetch(_QUERIES["hold_recipients"], list(messages))
    held = await _open_profiles(connection, [row["customer"] for row in rows])
    events = [
        ConsentEvent(
            row["customer"],
            "marketing",
            False,
            DELIVERY,
            None,
            str(row["message_id"]),
            messages[row["message_id"]],
        )
        for row in rows
        if held[row["customer"]]["opt_in_marketing"] is not False
    ]
    return await _keep(connection, held, events)


async def record_consent(database: Database, address: str, *, wanted: bool, by: str) -> Consent:
    """Record whether they want marketing, a repeated answer with its time too; audited. Raises StoreError.

    It is the answer of whoever has the address now: of a number that was given up, not of who had it. A yes
    lifts a no to everything.
    """
    trace_id = uuid4().hex
    async with database.transaction() as connection:
        customer = (await _hold_customers(connection, {address}))[address]
        held = await _open_profiles(connection, [customer])
        before = held[customer]["opt_in_marketing"]
        said = list(events_of_operator(customer, wanted=wanted, by=by, trace_id=trace_id))
        recorded = await _keep(connection, held, said)
        await leave_to_scheduler(connection, recorded.events)
        now = await connection.fetchrow(_QUERIES["read_answer"], customer)
        assert now is not None
        await record_audit(
            connection,
            actor=by,
            action="profile.opt_in" if wanted else "profile.opt_out",
            subject=audit_subject(customer),
            details={"before": before},
        )
    return Consent(customer, now["opt_in_marketing"], now["marketing_opted_at"], before)


async def mark_answered(
    connection: Connection, evidence: Sequence[tuple[str, str]], most_often: timedelta
) -> dict[str, str | None]:
    """Those of the customers (each with the wamid of their word) who are to be told now that it counts.

    Nobody is told more often than once in `most_often`. Gives the language of each, as far as it is known.
    """
    if not evidence:
        return {}
    columns = map(list, zip(*evidence, strict=True))
    rows = await connection.fetch(_QUERIES["mark_answered"], *columns, most_often)
    return {row["phone"]: row["language"] for row in rows}


async def join_consents(connection: Connection, names: Sequence[str], stays: str) -> list[ChangedConsent]:
    """What several said is one person's, whose profile is there. The profiles of `names` are locked."""
    await connection.execute(_QUERIES["move_events"], list(names), stays)
    await connection.execute(_QUERIES["remove_moved"], list(names), stays)
    return await _fold(connection, [stays])


async def keep_unproved_answers(connection: Connection, phones: Sequence[str]) -> None:
    """Answers that stand in these profiles and in no event become events; the profiles are locked.

    A release that keeps no events wrote them: before the upgrade to this one, or beside it.
    """
    await connection.execute(_QUERIES["keep_unproved"], list(phones))


async def share_refusals(connection: Connection, customer: str, other: str) -> None:
    """What the customer refuses `other` refuses too, who was the same person until now."""
    rows = await connection.fetch(_QUERIES["lock_profiles"], [customer, other])
    if not any(_refuses(row) for row in rows if row["phone"] == customer):
        return
    await keep_unproved_answers(connection, [customer, other])
    await connection.execute(_QUERIES["open_profiles"], [other])
    await connection.execute(_QUERIES["copy_refusals"], customer, other)
    await _fold(connection, [other])


async def read_consents(store: "Database | Connection", names: Sequence[str]) -> list[StoredConsent]:
    """All that was said of a person with these names, the latest first. Raises StoreError."""
    return [StoredConsent(**dict(row)) for row in await store.fetch(_QUERIES["read_events"], list(names))]


def count_changes(metrics: Metrics, changed: Iterable[ChangedConsent]) -> None:
    """Count them, once they are committed."""
    for item in changed:
        value = "yes" if item.value else "no"
        metrics.consent_changes.labels(item.kind, value, item.counted_source).inc()


async def _hold_customers(connection: Connection, addresses: Iterable[str]) -> dict[str, str]:
    """The customer of each, not to be joined with anybody until the commit."""
    keys = {address: platform_notation(address) for address in addresses}
    asked = sorted(set(keys.values()))
    await connection.execute(_QUERIES["claim_customers"], asked, [kind_of(key) for key in asked])
    rows = await connection.fetch(_QUERIES["hold_customers"], asked)
    customers = {row["address"]: row["customer"] for row in rows}
    if len(customers) < len(asked):
        raise StoreConflict("one of these customers is erased at the same time")
    return {address: customers[key] for address, key in keys.items()}


async def _open_profiles(connection: Connection, customers: Sequence[str]) -> Mapping[str, Any]:
    """Their profiles, locked in key order, made where there were none."""
    await connection.execute(_QUERIES["open_profiles"], list(customers))
    rows = await connection.fetch(_QUERIES["lock_profiles"], list(customers))
    return {row["phone"]: row for row in rows}


async def _keep(
    connection: Connection, held: Mapping[str, Any], events: Sequence[ConsentEvent]
) -> RecordedConsents:
    """Store events of customers whose profiles are locked, and fold."""
    if not events:
        return RecordedConsents()
    if answered := [phone for phone, row in held.items() if _has_answered(row)]:
        await keep_unproved_answers(connection, answered)
    await connection.execute(_QUERIES["keep_events"], *map(list, zip(*map(_columns, events), strict=True)))
    changes = await _fold(connection, sorted({item.address for item in events}))
    return record_of(changes, events)


async def _fold(connection: Connection, phones: Sequence[str]) -> list[ChangedConsent]:
    rows = await connection.fetch(_QUERIES["fold"], list(phones))
    return [change for row in rows for change in changes_of(row)]


def _has_answered(row: Any) -> bool:
    return row["opt_in_marketing"] is not None or row["notification_opt_out"]


def _refuses(row: Any) -> bool:
    return row["opt_in_marketing"] is False or row["notification_opt_out"]


def _columns(item: ConsentEvent) -> tuple[Any, ...]:
    return (item.address, item.kind, item.value, item.source, item.at, item.evidence)
