"""The claim of due notices: leased, then decided, written and put into the outbox in one transaction.

Owns that transaction. Who decides holds the customers' profiles and the carts, so a refusal, a purchase or
another notice to the same customer comes either before, and is seen, or after, and finds the notice queued.
Killed before the commit nothing has happened, after it the message is in the outbox.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from shared.amqp.topology import OUTBOUND
from shared.commerce.carts.due import hold_carts, stop_carts
from shared.commerce.notices.content import named, notice_message
from shared.commerce.notices.pace import NumberQueue
from shared.commerce.notices.rules import (
    Consent,
    NoticeDecision,
    NoticeFacts,
    NoticePolicy,
    PostponeNotice,
    QueueNotice,
    SkipNotice,
    decide_notice,
)
from shared.commerce.notices.zones import country_of, read_zone, zones_of_phone
from shared.commerce.shops.file import Shop, ShopMessage
from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.durations import Durations
from shared.ids import time_ordered_uuid
from shared.messaging.campaigns.rendering import MissingVariable
from shared.messaging.customers.shop_profile import hold_profiles
from shared.payloads import NotificationUpdated, OutboundMessage, encode
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "claiming.sql")
#: So long whoever leased a notice may take to decide it.
LEASE: Final = timedelta(seconds=30)
#: Decisions that a row remembers.
_REMEMBERED: Final = 5
_LANES: Final = {"utility": "utility", "marketing": "bulk"}
_REPLIED: Final = "replied"


@dataclass(frozen=True, slots=True)
class LeasedNotice:
    """A notice that is nobody else's for a while."""

    id: UUID
    customer: str
    cart: UUID | None


@dataclass(frozen=True, slots=True)
class DecidedNotice:
    """A notice with what was known of it and what was decided; `message` where it goes."""

    row: asyncpg.Record
    decision: NoticeDecision
    at: datetime
    message: OutboundMessage | None = None

    @property
    def trace(self) -> str:
        """Its last decisions, as JSON: when, what, and why or until when."""
        match self.decision:
            case QueueNotice(as_text, leaves_by):
                told: dict[str, Any] = {"decided": "queue", "as_text": as_text, "leaves_by": _iso(leaves_by)}
            case PostponeNotice(until, rule):
                told = {"decided": "postpone", "rule": rule, "until": _iso(until)}
            case SkipNotice(reason):
                told = {"decided": "skip", "rule": reason}
        before = json.loads(self.row["trace"])
        return json.dumps([*before, {"at": _iso(self.at), **told}][-_REMEMBERED:])


@dataclass(frozen=True, slots=True)
class ClaimedNotices:
    """What a claim did: `decided` in order, `events` to be published now."""

    decided: Sequence[DecidedNotice] = ()
    events: Sequence[OutboxEvent] = field(default_factory=tuple)


class NoticeStore:
    """Claims due notices for the shops of SHOPS_FILE."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        shops: Mapping[str, Shop],
        *,
        consent: Consent,
        mps_of: Callable[[str], float],
        durations: Durations,
    ) -> None:
        """`mps_of`: messages a second of a business number."""
        self._database = database
        self._outbox = outbox
        self._shops = shops
        self._consent = consent
        self._mps_of = mps_of
        self._durations = durations
        windows = (cap.window for shop in shops.values() for cap in shop.caps.marketing)
        self._longest = max(windows, default=timedelta())

    async def lease(self, most: int) -> list[LeasedNotice]:
        """The first step: due notices, the longest due first. Raises StoreError."""
        rows = await self._database.fetch(_QUERIES["lease"], most, LEASE)
        return [LeasedNotice(row["id"], row["customer_phone"], row["cart"]) for row in rows]

    async def decide(self, leased: Sequence[LeasedNotice]) -> ClaimedNotices:
        """The second step; publish `ClaimedNotices.events` after it. Raises StoreError.

        Done twice for the same notices, the second time finds nothing to decide.
        """
        async with self._database.transaction() as connection:
            await hold_profiles(connection, {item.customer for item in leased})
            await hold_carts(connection, {item.cart for item in leased if item.cart is not None})
            due = await connection.fetch(_QUERIES["lock_due"], [item.id for item in leased])
            rows = await connection.fetch(_QUERIES["read_facts"], [row["id"] for row in due], self._longest)
            queues = await self._count_queued(connection, rows)
            decided = self._decide_all(rows, queues)
            await _write(connection, decided)
            events = [_told(item) for item in decided if not isinstance(item.decision, PostponeNotice)]
            events += [_publication(item.message) for item in decided if item.message is not None]
            await self._outbox.record(connection, events)
        return ClaimedNotices(decided, events)

    async def _count_queued(
        self, connection: Connection, rows: Sequence[asyncpg.Record]
    ) -> dict[str, NumberQueue]:
        """What waits for the sender of these notices' numbers, which nobody else counts until the commit."""
        numbers = sorted({number for row in rows if (number := self._number_of(row)) is not None})
        await connection.execute(_QUERIES["lock_numbers"], numbers)
        counted = await connection.fetch(_QUERIES["count_queued"], numbers)
        queued = {row["number"]: row["queued"] for row in counted}
        return {
            number: NumberQueue.of(self._mps_of(number), queued.get(number, 0), self._durations)
            for number in numbers
        }

    def _number_of(self, row: asyncpg.Record) -> str | None:
        shop = self._shops.get(row["shop_id"])
        return row["phone_number_id"] or (None if shop is None else shop.phone_number_id)

    def _decide_all(
        self, rows: Sequence[asyncpg.Record], queues: Mapping[str, NumberQueue]
    ) -> list[DecidedNotice]:
        """One after the other: who is queued takes a place that the next one counts."""
        taken: dict[str, list[datetime]] = {}
        decided = []
        for row in rows:
            item = self._decide(row, taken.get(row["customer_phone"], []))
            if item.message is not None:
                wait = queues[item.message.phone_number_id or ""].take()
                if wait is not None:
                    item = DecidedNotice(row, PostponeNotice(row["at"] + wait, "rate"), row["at"])
                elif row["category"] == "marketing":
                    taken.setdefault(row["customer_phone"], []).append(row["at"])
            decided.append(item)
        return decided

    def _decide(self, row: asyncpg.Record, taken_now: Sequence[datetime]) -> DecidedNotice:
        shop = self._shops.get(row["shop_id"])
        if shop is None:
            return DecidedNotice(row, SkipNotice("shop_unknown"), row["at"])
        language = row["language"] or row["customer_language"]
        said = shop.message(row["notification_type"], language)
        policy = NoticePolicy(
            self._consent,
            shop.quiet_hours,
            shop.caps.marketing,
            shop.timezone,
            shop.marketing_blocked_countries,
        )
        decision = decide_notice(_facts(row, said, taken_now), policy)
        if not isinstance(decision, QueueNotice) or said is None:
            return DecidedNotice(row, decision, row["at"])
        try:
            message = _message(row, said, decision, language or shop.language, shop.phone_number_id)
        except MissingVariable:
            return DecidedNotice(row, SkipNotice("missing_variable"), row["at"])
        except ValidationError:
            return DecidedNotice(row, SkipNotice("unreadable"), row["at"])
        return DecidedNotice(row, decision, row["at"], message)


def _facts(row: asyncpg.Record, said: ShopMessage | None, taken_now: Sequence[datetime]) -> NoticeFacts:
    customer = row["customer_phone"]
    own = None if row["timezone"] is None else read_zone(row["timezone"])
    return NoticeFacts(
        now=row["at"],
        notification_type=row["notification_type"],
        category=row["category"],
        not_after=row["not_after"],
        stopped=_stopped(row),
        checkout_running=row["checkout_running"],
        opted_in=row["opted_in"],
        refuses_all=row["refuses_all"],
        holdout=bool(row["holdout"]),
        country=country_of(customer),
        zones=zones_of_phone(customer) if own is None else (own,),
        written_at=row["written_at"],
        taken=[*row["taken"], *taken_now],
        template_only=row["template_only"],
        has_text=said is not None and said.text is not None,
        has_template=said is not None and said.template is not None,
    )


def _stopped(row: asyncpg.Record) -> str | None:
    """Why the cart wants no reminder any more."""
    if row["kind"] != "cart":
        return None
    if not row["has_cart"]:
        return "cart_gone"
    if row["stop_reason"] is not None:
        return str(row["stop_reason"])
    if row["closed_at"] is not None:
        return str(row["cart_status"])
    if str(row["cart_round"]) != row["planned_round"]:
        return "cart_changed"
    return _REPLIED if row["has_replied"] else None


def _message(
    row: asyncpg.Record, said: ShopMessage, decision: QueueNotice, language: str, number: str
) -> OutboundMessage:
    return notice_message(
        said,
        notice_id=row["id"],
        attempt=row["attempt"] + 1,
        customer=row["customer_phone"],
        phone_number_id=row["phone_number_id"] or number,
        category=row["category"],
        variables=named(json.loads(row["variables"]), row["name"], language),
        as_text=decision.as_text,
        leaves_by=decision.leaves_by,
    )


async def _write(connection: Connection, decided: Sequence[DecidedNotice]) -> None:
    queued = [
        (item.row["id"], _template_of(item.message), item.message.phone_number_id, item.trace)
        for item in decided
        if item.message is not None
    ]
    postponed = [
        (item.row["id"], item.decision.until, item.trace)
        for item in decided
        if isinstance(item.decision, PostponeNotice)
    ]
    skipped = [
        (item.row["id"], item.decision.reason, item.trace)
        for item in decided
        if isinstance(item.decision, SkipNotice)
    ]
    for name, rows in (("queue", queued), ("postpone", postponed), ("skip", skipped)):
        if rows:
            columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
            await connection.execute(_QUERIES[name], *columns)
    if queued:
        await connection.execute(_QUERIES["credit"], [row[0] for row in queued])
    replied = {item.row["cart"] for item in decided if item.decision == SkipNotice(_REPLIED)}
    await stop_carts(connection, replied, _REPLIED)


def _template_of(message: OutboundMessage) -> str | None:
    return None if message.template is None else message.template.name


def _publication(message: OutboundMessage) -> OutboxEvent:
    lane = _LANES[message.category or "marketing"]
    return OutboxEvent(
        id=time_ordered_uuid(),
        aggregate_id=str(message.notification_id),
        aggregate_type="notification",
        event_type=OutboundMessage.__name__,
        payload=encode(message),
        correlation_id=UUID(message.notification_id).hex,
        exchange=OUTBOUND,
        routing_key=f"{lane}.{message.wa_id}",
    )


def _told(item: DecidedNotice) -> OutboxEvent:
    row, skipped = item.row, isinstance(item.decision, SkipNotice)
    told = NotificationUpdated(
        notification_id=row["id"],
        shop_id=row["shop_id"],
        notification_type=row["notification_type"],
        old_status="pending",
        new_status="skipped" if skipped else "queued",
        skip_reason=item.decision.reason if isinstance(item.decision, SkipNotice) else None,
        revision=row["revision"] + 1,
        timestamp=item.at,
        trace_id=row["id"].hex,
    )
    aggregate = ("notification", row["id"])
    return event(told.event_type, encode(told), aggregate=aggregate, correlation_id=row["id"].hex)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
