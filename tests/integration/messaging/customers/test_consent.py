"""Consent on a real database: whatever is told, in any order, ends in the same answer, with its proof."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import pytest

from shared.errors import StoreConflict
from shared.messaging.customers.consent import (
    read_consents,
    record_consent_events,
    record_opt_outs,
    restore_suppressed,
)
from shared.messaging.customers.consent_rules import ConsentEvent, ConsentKind, RecordedConsents
from shared.messaging.customers.erasure import erase
from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import follow
from shared.messaging.customers.renaming import Renames
from shared.messaging.customers.suppressions import Suppressions
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.support.rows import NOON, Connection, add_mapping, add_message, insert, only_row

PHONE: Final = "491700000001"
ID: Final = "DE.8842"
KEY: Final = Suppressions(b"a key of sixteen bytes or more")
#: Opted in, when, who told it, opted out of everything.
Answer = tuple[bool | None, datetime | None, str | None, bool]


def said(
    value: bool,
    minutes: float = 0,
    source: str = "shop",
    kind: ConsentKind = "marketing",
    address: str = PHONE,
    evidence: str | None = None,
) -> ConsentEvent:
    return ConsentEvent(address, kind, value, source, NOON + timedelta(minutes=minutes), evidence, "trace-1")


async def record(
    conn: Connection, *events: ConsentEvent, suppressions: Suppressions = KEY
) -> RecordedConsents:
    async with conn.transaction():
        return await record_consent_events(conn, events, suppressions)  # type: ignore[arg-type]


async def answer_of(conn: Connection, phone: str = PHONE) -> Answer:
    row = await only_row(
        conn,
        "select opt_in_marketing, marketing_opted_at, consent_source, notification_opt_out"
        " from customer_profiles where phone = $1",
        phone,
    )
    return tuple(row)


def expected(events: Iterable[ConsentEvent]) -> Answer:
    """The rule once more: the latest of each kind, at equal times a refusal."""

    def last(kind: str) -> ConsentEvent | None:
        of_kind = [item for item in events if item.kind == kind]
        return max(of_kind, key=lambda item: (item.at, not item.value), default=None)

    marketing, notifications = last("marketing"), last("notifications")
    return (
        None if marketing is None else marketing.value,
        None if marketing is None else marketing.at,
        None if marketing is None else marketing.source,
        notifications is not None and not notifications.value,
    )


#: Each with a time of its own, save two that contradict each other.
STORY: Final = (
    said(True, 0),
    said(False, 5, "message"),
    said(False, 5, "message", "notifications"),
    said(True, 5, "operator"),
    said(True, 3, "message", "notifications"),
)


async def test_events_in_any_order_end_in_the_latest_of_each_kind(conn: Connection) -> None:
    for place, order in enumerate(itertools.permutations(STORY)):
        phone = f"4917000{place:05}"
        for item in order:
            await record(conn, replace(item, address=phone))

        assert await answer_of(conn, phone) == expected(STORY) == (False, STORY[1].at, "message", True)


async def test_told_twice_and_split_they_are_kept_once(conn: Connection) -> None:
    await record(conn, *STORY)
    again = await record(conn, *STORY[2:], *STORY)

    assert await answer_of(conn) == expected(STORY)
    assert (again.changes, again.events) == ([], [])
    assert await conn.fetchval("select count(*) from consent_events") == len(STORY)


async def test_stories_by_chance_end_as_the_rule_says(conn: Connection) -> None:
    chance = random.Random(3)
    for number in range(60):
        phone = f"4916000{number:05}"
        story = [
            said(
                chance.random() < 0.5,
                chance.randrange(4),
                chance.choice(("a", "b")),
                chance.choice(("marketing", "notifications")),
                phone,
            )
            for _ in range(chance.randrange(1, 7))
        ]
        for item in chance.sample(story, len(story)):
            await record(conn, item)

        found = await answer_of(conn, phone)
        assert (found[0], found[1], found[3]) == tuple(expected(story)[i] for i in (0, 1, 3)), story


@pytest.fixture
async def replicas(database_url: str) -> AsyncIterator[Sequence[Connection]]:
    connections = [await asyncpg.connect(database_url) for _ in range(4)]
    yield connections
    for connection in connections:
        await connection.close()


async def test_four_replicas_that_hear_it_at_once_end_in_the_same(
    conn: Connection, replicas: Sequence[Connection]
) -> None:
    async def tell(replica: Connection, seed: int) -> None:
        for item in random.Random(seed).sample(STORY, len(STORY)):
            await record(replica, item)

    await asyncio.gather(*(tell(replica, seed) for seed, replica in enumerate(replicas)))

    assert await answer_of(conn) == expected(STORY)
    assert await conn.fetchval("select count(*) from consent_events") == len(STORY)


async def test_a_yes_that_is_dated_ahead_does_not_outlast_a_refusal(conn: Connection) -> None:
    now = datetime.now(UTC)
    await record(conn, replace(said(True), at=now + timedelta(hours=20)))

    await record(conn, replace(said(False, source="message"), at=now + timedelta(hours=1)))

    assert (await answer_of(conn))[0] is False


async def test_what_changes_is_told_and_nothing_else(conn: Connection) -> None:
    first = await record(conn, said(False, 1, "message", evidence="wamid.1"))
    second = await record(conn, said(False, 2, "operator"), said(False, 2, "operator", "notifications"))

    told = [(item.event_type, item.aggregate_id, json.loads(item.payload)) for item in first.events]
    assert [(name, about) for name, about, _ in told] == [("consent.changed", PHONE)]
    assert told[0][2].pop("timestamp")
    assert told[0][2] == {
        "event_version": 1,
        "customer": PHONE,
        "kind": "marketing",
        "value": False,
        "source": "message",
        "occurred_at": "2026-01-15T12:01:00Z",
        "trace_id": "trace-1",
    }  # fmt: skip
    assert [(item.kind, item.value, item.source) for item in second.changes] == [
        ("notifications", False, "operator")
    ]


async def test_an_answer_of_before_counts_as_one_event_of_core(conn: Connection) -> None:
    await insert(
        conn, "customer_profiles", phone=PHONE, opt_in_marketing=False, marketing_opted_at=NOON,
        notification_opt_out=True, created_at=NOON - timedelta(days=3),
    )  # fmt: skip

    await record(conn, said(True, -1))
    before = await answer_of(conn)
    await record(conn, said(True, 1), said(True, 1, kind="notifications"))

    assert before == (False, NOON, "core", True)
    assert await answer_of(conn) == (True, NOON + timedelta(minutes=1), "shop", False)
    rows = await read_consents(conn, [PHONE])  # type: ignore[arg-type]
    assert [(row.kind, row.value) for row in rows if row.source == "core"] == [
        ("marketing", False),
        ("notifications", False),
    ]


async def test_what_an_earlier_release_writes_beside_this_one_counts(conn: Connection) -> None:
    later = NOON + timedelta(minutes=2)
    await insert(conn, "customer_profiles", phone=PHONE, opt_in_marketing=False, marketing_opted_at=NOON)
    await record(conn, said(True, 1), said(True, 1, kind="notifications"))

    # When a worker of before is told of 131050, and a person is joined by it to one who refused everything
    await conn.execute(
        "update customer_profiles set opt_in_marketing = false, marketing_opted_at = $1,"
        " notification_opt_out = true",
        later,
    )
    late = await record(conn, said(True, 1.5), said(True, 1.5, kind="notifications"))

    # Then its word stands as one of them, until a later one
    assert late.changes == []
    assert await answer_of(conn) == (False, later, "earlier release", True)
    await record(conn, said(True, 3))
    assert (await answer_of(conn))[:3] == (True, NOON + timedelta(minutes=3), "shop")


async def test_it_is_the_answer_of_the_person_under_any_address(conn: Connection) -> None:
    await insert(conn, "customer_addresses", address=PHONE, phone=PHONE, kind="phone", source="inbound")
    await insert(conn, "customer_addresses", address=ID, phone=PHONE, kind="bsuid", source="inbound")

    await record(conn, said(False, address=ID), said(True, -1, address=f"{PHONE}"))

    assert (await answer_of(conn))[0] is False
    assert await conn.fetchval("select count(*) from customer_profiles") == 1


async def test_another_notation_is_the_same_customer(conn: Connection) -> None:
    await record(conn, said(False, address="5531987654321"), said(True, -1, address="553187654321"))

    assert (await answer_of(conn, "553187654321"))[0] is False
    assert await conn.fetchval("select count(*) from customer_profiles") == 1


async def join(conn: Connection) -> list[str]:
    """The phone and the id turn out to be one person; gives what is told of it."""
    evidence = AddressEvidence(PHONE, ID, "inbound", NOON, "trace-2")
    async with conn.transaction():
        _, joined = await follow(conn, evidence, ID)  # type: ignore[arg-type]
    return [item.event_type for item in joined.events]


@pytest.mark.parametrize("joined_after", range(5))
async def test_a_join_takes_events_along_whenever_it_comes(conn: Connection, joined_after: int) -> None:
    story = [
        said(True, 1),
        said(False, 3, "message", address=ID),
        said(True, 2, "operator", address=ID),
        said(False, 3, "message", "notifications", address=ID),
    ]
    for place, item in enumerate(story):
        if place == joined_after:
            await join(conn)
        await record(conn, item)
    if joined_after == len(story):
        assert await join(conn) == ["customer.merged", "consent.changed", "consent.changed"]

    assert await answer_of(conn) == (False, NOON + timedelta(minutes=3), "message", True)
    assert await conn.fetchval("select count(*) from customer_profiles") == 1
    assert await conn.fetchval("select array_agg(distinct phone) from consent_events") == [PHONE]


async def test_of_two_at_equal_times_a_joined_person_has_the_refusal(conn: Connection) -> None:
    await record(conn, said(True), said(False, address=ID))

    await join(conn)

    assert await answer_of(conn) == (False, NOON, "shop", False)


async def test_what_both_said_alike_is_one_event_that_came_first(conn: Connection) -> None:
    await record(conn, said(True, evidence="first"), said(True, address=ID, evidence="second"))
    await conn.execute("update consent_events set received_at = $1 where phone = $2", NOON, ID)

    await join(conn)

    row = await only_row(conn, "select phone, received_at, evidence from consent_events")
    assert tuple(row) == (PHONE, NOON, "second")


async def test_events_and_a_join_at_once_lose_nothing(
    conn: Connection, replicas: Sequence[Connection]
) -> None:
    async def join_at_last(replica: Connection) -> None:
        while True:
            try:
                await join(replica)
            except (StoreConflict, asyncpg.DeadlockDetectedError):
                continue
            return

    async def tell(replica: Connection, address: str, source: str) -> None:
        for minute in range(20):
            await record(replica, said(minute % 2 == 0, minute, source, address=address))

    await asyncio.gather(
        tell(replicas[0], PHONE, "a"),
        tell(replicas[1], ID, "b"),
        join_at_last(replicas[2]),
        join_at_last(replicas[3]),
    )

    assert await conn.fetchval("select array_agg(distinct phone) from consent_events") == [PHONE]
    assert await conn.fetchval("select count(*) from consent_events") == 40
    assert (await answer_of(conn))[:2] == (False, NOON + timedelta(minutes=19))


async def test_whoever_takes_whatsapps_own_notation_keeps_the_proofs(
    conn: Connection, database: Database
) -> None:
    long, short = "5531987654321", "553187654321"
    await insert(conn, "customer_profiles", phone=long, opt_in_marketing=False)
    await insert(
        conn, "consent_events", phone=long, kind="marketing", value=False, source="a", occurred_at=NOON
    )

    await Renames(database, _NoCache()).rename({long: short})  # type: ignore[arg-type]

    assert await conn.fetchval("select phone from customer_profiles") == short
    assert await conn.fetchval("select phone from consent_events") == short


class _NoCache:
    async def remove_many(self, keys: Sequence[str]) -> None:
        assert not keys


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=1)
    yield database
    await database.close()


async def test_the_platforms_refusal_is_an_event_once_until_they_say_yes(conn: Connection) -> None:
    mapping = await add_mapping(conn, wa_id=PHONE)
    messages = [await add_message(conn, mapping_id=mapping) for _ in range(3)]

    async def refuse(*numbers: int) -> RecordedConsents:
        refused = {messages[number]: "trace-1" for number in numbers}
        async with conn.transaction():
            return await record_opt_outs(conn, refused)  # type: ignore[arg-type]

    first = await refuse(0, 1)
    again = await refuse(1)
    await record(conn, replace(said(True, source="message"), at=datetime.now(UTC)))
    anew = await refuse(2)

    assert [(item.customer, item.value, item.source) for item in first.changes] == [
        (PHONE, False, "delivery")
    ]
    assert first.changes[0].evidence == str(min(messages[:2]))
    assert (again.changes, len(anew.changes)) == ((), 1)
    assert await conn.fetchval("select count(*) from consent_events where source = 'delivery'") == 2
    assert (await answer_of(conn))[0] is False


async def forget(database: Database, *, key: Suppressions = KEY, dry_run: bool = False) -> None:
    await erase(database, PHONE, TABLES, by="ana", dry_run=dry_run, suppressions=key)


async def test_a_refusal_outlives_an_erasure_as_a_hash_and_nothing_else_does(
    conn: Connection, database: Database
) -> None:
    await insert(conn, "customer_addresses", address=PHONE, phone=PHONE, kind="phone", source="inbound")
    await insert(conn, "customer_addresses", address=ID, phone=PHONE, kind="bsuid", source="inbound")
    await record(conn, said(False, source="message", evidence="wamid.1"))

    await forget(database, dry_run=True)
    dry = await conn.fetchval("select count(*) from suppressions")
    await forget(database)

    assert dry == 0
    assert await conn.fetchval("select count(*) from consent_events") == 0
    rows = await conn.fetch("select phone_hash, kind from suppressions")
    assert [(len(row["phone_hash"]), row["kind"]) for row in rows] == [(32, "marketing")] * 2
    assert len({row["phone_hash"] for row in rows}) == 2


@pytest.mark.parametrize("address", [PHONE, ID])
async def test_a_profile_made_again_starts_refused_until_a_later_yes(
    conn: Connection, database: Database, address: str
) -> None:
    await insert(conn, "customer_addresses", address=PHONE, phone=PHONE, kind="phone", source="inbound")
    await insert(conn, "customer_addresses", address=ID, phone=PHONE, kind="bsuid", source="inbound")
    await record(conn, said(False, 0, "message"), said(False, 0, "message", "notifications"))
    await forget(database)

    imported = await record(conn, said(True, 5, address=address))
    refused = await answer_of(conn, address)
    await record(conn, replace(said(True, source="message", address=address), at=datetime.now(UTC)))

    assert [(item.kind, item.value, item.source) for item in imported.changes] == [
        ("marketing", False, "suppression"),
        ("notifications", False, "suppression"),
    ]
    assert (refused[0], refused[2], refused[3]) == (False, "suppression", True)
    assert (await answer_of(conn, address))[::3] == (True, True)


async def test_whoever_is_met_again_is_refused_before_anything_is_told(
    conn: Connection, database: Database
) -> None:
    await record(conn, said(False))
    await forget(database)

    async with conn.transaction():
        restored = await restore_suppressed(conn, [PHONE, ID], KEY, "trace-1")  # type: ignore[arg-type]
    async with conn.transaction():
        again = await restore_suppressed(conn, [PHONE], KEY, "trace-1")  # type: ignore[arg-type]

    assert [item.customer for item in restored.changes] == [PHONE]
    assert again.changes == ()


async def test_who_wants_it_in_the_end_is_not_suppressed(conn: Connection, database: Database) -> None:
    await record(conn, said(False))
    await forget(database)
    await record(conn, replace(said(True, source="message"), at=datetime.now(UTC)))

    await forget(database)

    assert await conn.fetchval("select count(*) from suppressions") == 0


async def test_without_a_key_nothing_stays_and_under_another_nothing_is_found(
    conn: Connection, database: Database
) -> None:
    await record(conn, said(False))
    await forget(database, key=Suppressions())
    without = await conn.fetchval("select count(*) from suppressions")
    await record(conn, said(False, 1))
    await forget(database)

    await record(conn, said(True, 2), suppressions=Suppressions(b"another key of sixteen bytes"))

    assert without == 0
    assert (await answer_of(conn))[0] is True


async def test_no_event_is_no_statement(conn: Connection) -> None:
    assert await record(conn) == RecordedConsents()
    assert await conn.fetchval("select count(*) from customer_addresses") == 0
