"""Joining two persons that turn out to be one: who stays, what follows, what is told.

Owns the order of it, in the caller's transaction, which has locked the addresses of both. Done again, or
by another replica, it finds nothing to do.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from shared.coordination.keys import conversation_key, customer_key
from shared.durable.outbox import OutboxEvent, event
from shared.messaging.customers.consent import join_consents, keep_unproved_answers
from shared.messaging.customers.consent_rules import ChangedConsent
from shared.messaging.customers.notation import is_phone, kind_of, notations, platform_notation
from shared.payloads import ConversationClosedEvent, CustomerMerged, Event, encode
from shared.payloads.clock import CLOCK
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "joining.sql")


@dataclass(frozen=True, slots=True)
class Joined:
    """What a join left to do after the commit: events to publish, keys to remove from Redis."""

    events: Sequence[OutboxEvent] = ()
    stale_keys: Sequence[str] = ()

    def __add__(self, later: "Joined") -> "Joined":
        return Joined([*self.events, *later.events], [*self.stale_keys, *later.stale_keys])


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which of two active conversations of a number goes, and into which."""

    pairs: Sequence[tuple[asyncpg.Record, asyncpg.Record]] = ()
    all_ids: Sequence[UUID] = ()
    numbers: Sequence[str] = ()
    keys: Sequence[str] = field(default_factory=tuple)


def who_stays(one: str, other: str) -> str:
    """Of two customers that are one person: the phone, else an id before a parent's, else the lesser. Pure.

    Of two phones, which only an operator or a change of number joins, the caller says it.
    """
    return min(one, other, key=lambda name: (not is_phone(name), kind_of(name) == "parent_bsuid", name))


async def join(connection: Connection, *, gone: str, stays: str, evidence: str, trace_id: str) -> Joined:
    """Make one person of two, and what it has to tell. Raises StoreError.

    Conversations are locked in the order in which messages lock them. What hangs on the one that goes
    follows: its messages, aliases, what waits to be sent, recipients, consent.
    """
    names = [*notations(gone), *notations(stays)]
    rows = await connection.fetch(_QUERIES["lock_mappings"], names)
    plan = _plan(rows)
    await _move_conversations(connection, plan, stays)
    numbers = list(plan.numbers)
    await connection.execute(_QUERIES["move_deferred"], numbers, names, stays)
    await connection.execute(_QUERIES["rename_recipients"], names, stays)
    await connection.execute(_QUERIES["skip_twins"], stays)
    changed = await _fold_profiles(connection, names, stays)
    await connection.execute(_QUERIES["move_addresses"], [gone], stays)
    told = [_closed(row, trace_id) for row, _ in plan.pairs if row["conversation_id"] is not None]
    addresses = [row["address"] for row in await connection.fetch(_QUERIES["find_addresses"], stays)]
    merged = CustomerMerged(
        customer=stays,
        merged=gone,
        addresses=addresses,
        evidence=evidence,
        timestamp=CLOCK.now(),
        trace_id=trace_id,
    )
    told += [_event("customer", stays, merged, trace_id), *(item.tell(trace_id) for item in changed)]
    return Joined(told, plan.keys)


async def adopt(connection: Connection, number: str, address: str, trace_id: str) -> Joined:
    """The active conversation of an address, which has another name than its customer's, becomes theirs.

    Where it is another person's, who gave the address up, it is closed. Raises StoreError.
    """
    row = await connection.fetchrow(_QUERIES["find_holder"], number, address, platform_notation(address))
    if row is None:
        return Joined()
    if row["holder"] in notations(address):
        return await join(
            connection, gone=row["holder"], stays=row["customer"], evidence="rule", trace_id=trace_id
        )
    closed = await connection.fetchrow(_QUERIES["close_holder"], row["id"])
    if closed is None:
        return Joined()
    events = [] if closed["conversation_id"] is None else [_closed(closed, trace_id)]
    return Joined(events, list(_keys(closed)))


def _plan(rows: Sequence[asyncpg.Record]) -> _Plan:
    """Of several active ones of a number the one with the latest activity stays. Pure."""
    active: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        if row["status"] == "active":
            active[row["phone_number_id"]].append(row)
    pairs = []
    for of_number in active.values():
        stays = max(of_number, key=lambda row: (row["last_activity_at"], row["id"]))
        pairs += [(row, stays) for row in of_number if row is not stays]
    return _Plan(
        pairs,
        [row["id"] for row in rows],
        sorted({row["phone_number_id"] for row in rows}),
        [key for row in rows for key in _keys(row)],
    )


def _keys(row: asyncpg.Record) -> Iterable[str]:
    yield customer_key(row["phone_number_id"], row["wa_id"])
    if row["conversation_id"] is not None:
        yield conversation_key(row["conversation_id"])


async def _move_conversations(connection: Connection, plan: _Plan, stays: str) -> None:
    gone = [row["id"] for row, _ in plan.pairs]
    into = [row["id"] for _, row in plan.pairs]
    if gone:
        await connection.execute(_QUERIES["close_mappings"], gone, into)
        named = [(row, to) for row, to in plan.pairs if row["conversation_id"] is not None]
        await connection.execute(
            _QUERIES["take_conversations"],
            [to["id"] for _, to in named],
            [row["conversation_id"] for row, _ in named],
            [row["conversation_seq"] for row, _ in named],
            [row["communication_id"] for row, _ in named],
        )
        await connection.execute(
            _QUERIES["keep_aliases"],
            [to["id"] for _, to in named],
            [row["conversation_id"] for row, _ in named],
            gone,
            into,
        )
        await connection.execute(_QUERIES["drop_aliases"], gone)
        await connection.execute(_QUERIES["move_messages"], gone, into)
    await connection.execute(_QUERIES["rename_mappings"], list(plan.all_ids), stays)


async def _fold_profiles(
    connection: Connection, names: Sequence[str], stays: str
) -> Sequence[ChangedConsent]:
    rows = await connection.fetch(_QUERIES["lock_profiles"], list(names))
    if not rows or [row["phone"] for row in rows] == [stays]:
        return ()
    await keep_unproved_answers(connection, names)
    await connection.execute(_QUERIES["write_profile"], stays, *fold_profiles(rows))
    await connection.execute(_QUERIES["follow_shops"], list(names), stays)
    changed = await join_consents(connection, names, stays)
    left = [row["phone"] for row in rows if row["phone"] != stays]
    await connection.execute(_QUERIES["remove_profiles"], left)
    return changed


def fold_profiles(rows: Sequence[asyncpg.Record]) -> tuple[Any, ...]:
    """One profile of several, save what they want: the name is that of the latest message. Pure.

    Gives name, last_interaction_at, created_at.
    """
    recent = sorted(rows, key=_last_seen, reverse=True)
    return (
        next((row["name"] for row in recent if row["name"] is not None), None),
        recent[0]["last_interaction_at"],
        min(row["created_at"] for row in rows),
    )


def _last_seen(row: asyncpg.Record) -> tuple[bool, datetime]:
    seen: datetime | None = row["last_interaction_at"]
    return seen is not None, seen or row["created_at"]


def _closed(row: asyncpg.Record, trace_id: str) -> OutboxEvent:
    told = ConversationClosedEvent(
        mapping_id=row["id"],
        conversation_id=row["conversation_id"],
        wa_id=row["wa_id"],
        phone_number_id=row["phone_number_id"],
        timestamp=CLOCK.now(),
        trace_id=trace_id,
    )
    return _event("conversation_mapping", row["id"], told, trace_id)


def _event(kind: str, identity: object, told: Event, trace_id: str) -> OutboxEvent:
    return event(told.event_type, encode(told), aggregate=(kind, identity), correlation_id=trace_id)
