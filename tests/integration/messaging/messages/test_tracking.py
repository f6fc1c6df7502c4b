"""Tracking on a real database: what events make of rows, whoever applies them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.messaging.messages import OwnEvent, StatusEvent
from shared.payloads import SendError
from tests.support.rows import Connection, add_campaign, add_mapping, add_message, insert
from tests.support.tracking import (
    FINAL,
    IN_HAND,
    Tracking,
    add_outbound,
    at,
    happened,
    named,
    row_of,
    steps,
    told,
    tracking,
)


@pytest.fixture
async def tracked(database_url: str) -> AsyncIterator[Tracking]:
    async with tracking(database_url) as value:
        yield value


async def outcomes(conn: Connection) -> list[tuple[str, str | None]]:
    rows = await conn.fetch("select status, outcome from status_events order by id")
    return [(row["status"], row["outcome"]) for row in rows]


async def recipient(conn: Connection) -> dict[str, Any]:
    row = await conn.fetchrow("select * from broadcast_recipients")
    assert row is not None
    return dict(row)


async def test_a_status_moves_its_message_and_is_told(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, genesys_message_id="g1")
    assert await tracked.hear(happened("delivered", 5)) == ["applied"]
    row = await row_of(conn, message_id)
    assert (row["status"], row["delivered_at"], row["sent_at"]) == ("delivered", at(5), None)
    [event] = await told(conn, "message.updated")

    assert event["message_id"] == str(message_id)
    assert event["genesys_message_id"] == "g1"
    assert event["timestamp"] == "2026-01-15T12:00:05Z"
    assert (event["old_status"], event["new_status"], event["implied"]) == ("sent", "delivered", False)
    assert await conn.fetchval("select message_id from status_events") == message_id


async def test_a_jump_walks_the_states_between_and_leaves_their_times_null(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn, attempts=[])
    assert await tracked.hear(happened("read", 9)) == ["applied"]
    row = await row_of(conn, message_id)

    assert (row["status"], row["delivered_at"], row["read_at"]) == ("read", None, at(9))
    assert await steps(conn) == [("sent", "delivered", True), ("delivered", "read", False)]
    assert tracked.count("implied") == 1


async def test_what_comes_late_fills_its_milestone_and_is_only_counted(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn)
    await tracked.hear(happened("read", 9))
    assert await tracked.hear(happened("delivered", 4)) == ["late"]
    row = await row_of(conn, message_id)

    assert (row["status"], row["delivered_at"], row["read_at"]) == ("read", at(4), at(9))
    assert len(await steps(conn)) == 2


async def test_a_milestone_is_the_earliest_event_of_its_kind(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn)
    await tracked.hear(happened("delivered", 5))

    assert await tracked.hear(happened("delivered", 3), happened("delivered", 7)) == ["duplicate"] * 2
    assert (await row_of(conn, message_id))["delivered_at"] == at(3)


async def test_an_event_is_stored_once_and_applied_once(tracked: Tracking, conn: Connection) -> None:
    await add_outbound(conn)
    for _ in range(3):
        assert await tracked.hear(happened("delivered")) == ["applied"]

    assert await outcomes(conn) == [("delivered", "applied")]
    assert len(await steps(conn)) == 1
    assert tracked.count("applied") == 1


async def test_a_failure_yields_to_a_reading_and_to_nothing_else(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, attempts=[])
    assert await tracked.hear(happened("failed", 1, FINAL)) == ["applied"]
    assert await tracked.hear(happened("delivered", 2)) == ["late"]
    assert (await row_of(conn, message_id))["status"] == "failed"
    assert await tracked.hear(happened("read", 3)) == ["applied"]
    row = await row_of(conn, message_id)

    assert (row["status"], row["failed_at"], row["error_code"]) == ("read", at(1), None)
    assert await steps(conn) == [("sent", "failed", False), ("failed", "read", False)]


async def test_a_status_that_never_applies_is_rejected(tracked: Tracking, conn: Connection) -> None:
    mapping = await add_mapping(conn)
    inbound = await add_message(
        conn, mapping_id=mapping, direction="INBOUND", status="received", wamid="wamid.in"
    )
    await add_outbound(conn)
    heard = await tracked.hear(
        happened("delivered", wamid="wamid.in"),
        happened("processed"),
        happened("processed", wamid="wamid.in"),
    )

    assert heard == ["rejected", "rejected", "applied"]
    assert (await row_of(conn, inbound))["status"] == "processed"
    assert await steps(conn) == [("received", "processed", False)]


async def test_an_unknown_status_is_stored_and_changes_nothing(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn)
    before = await row_of(conn, message_id)
    heard = await tracked.hear(happened("deleted"), happened("deleted", wamid="wamid.other"))

    assert heard == ["ignored", "ignored"]
    assert await row_of(conn, message_id) == before
    assert await steps(conn) == []


async def test_an_event_waits_for_its_message_until_the_sender_has_committed_it(
    tracked: Tracking, conn: Connection
) -> None:
    assert await tracked.hear(happened("sent", 1), happened("read", 2)) == ["unmatched"] * 2
    assert await conn.fetchval("select count(*) from status_events where message_id is null") == 2
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    own = OwnEvent(message_id, "sent", "trace", attempt=1, wamid="wamid.1", http_status=200)
    assert (await tracked.record(own)).statuses == {message_id: "sent"}
    assert await tracked.tracker.apply_stored(["wamid.1"]) == 2
    assert await tracked.tracker.apply_stored(["wamid.1"]) == 0
    row = await row_of(conn, message_id)

    assert (row["status"], row["read_at"]) == ("read", at(2))
    assert row["sent_at"] == at(1)


async def test_the_scheduler_matches_what_is_left_up_to_a_day(tracked: Tracking, conn: Connection) -> None:
    await tracked.hear(happened("delivered"), happened("delivered", wamid="wamid.old"))
    await conn.execute(
        "update status_events set received_at = now() - interval '25 hours' where wamid = 'wamid.old'"
    )
    message_id = await add_outbound(conn)
    old = await add_outbound(conn, wamid="wamid.old")

    assert await tracked.tracker.match_waiting() == 1
    assert await tracked.tracker.match_waiting() == 0
    assert (await row_of(conn, message_id))["status"] == "delivered"
    assert (await row_of(conn, old))["status"] == "sent"


async def test_a_status_found_impossible_once_its_message_is_there_is_a_dead_letter(
    tracked: Tracking, conn: Connection
) -> None:
    early = happened("processed", genesys_message_id="g1", source="genesys", wamid=None)
    assert await tracked.hear(early) == ["unmatched"]
    await add_outbound(conn, genesys_message_id="g1")
    assert await tracked.tracker.match_waiting() == 1
    row = await conn.fetchrow(
        "select reason, source_queue, exchange, routing_key, raw_body from dead_letter_queue"
    )

    assert row is not None
    assert tuple(row) == ("state_violation", "status-updater", "wa.status", "genesys", IN_HAND.body)
    assert (
        await conn.fetchval("select count(*) from outbox_events where event_type = 'deadletter.stored'") == 1
    )
    assert tracked.count("rejected") == 1


async def test_the_scheduler_matches_by_every_reference_however_many_wait(
    tracked: Tracking, conn: Connection
) -> None:
    ids = [uuid4() for _ in range(3)]
    events = [
        *(happened("delivered", wamid=f"wamid.{number}") for number in range(1100)),
        happened("delivered", callback_data=named(ids[0])),
        happened("delivered", callback_data="somebody else's"),
        happened("delivered", genesys_message_id="g1", source="genesys"),
        happened("delivered", wamid="wamid.earlier"),
    ]
    assert set(await tracked.hear(*events)) == {"unmatched"}
    assert await tracked.tracker.match_waiting() == 0
    mapping = await add_mapping(conn)
    await conn.execute(
        "insert into message_tracking (mapping_id, direction, status, wamid)"
        " select $1, 'OUTBOUND', 'sent', 'wamid.' || n from generate_series(0, 1050) as n",
        mapping,
    )
    await add_outbound(conn, "queued", id=ids[0], attempts=[("ambiguous", None)])
    await add_outbound(conn, id=ids[1], wamid="wamid.g", genesys_message_id="g1")
    await add_outbound(
        conn, id=ids[2], wamid="wamid.later", attempts=[("failed", "wamid.earlier"), ("sent", "wamid.later")]
    )

    assert await tracked.tracker.match_waiting() == 1054
    assert {(await row_of(conn, item))["status"] for item in ids} == {"delivered"}
    assert await conn.fetchval("select count(*) from status_events where outcome = 'unmatched'") == 50


async def test_of_what_waits_for_long_the_scheduler_looks_at_some_each_time_round_and_round(
    tracked: Tracking, conn: Connection
) -> None:
    """As another system leaves it that shares the number: nothing of it ever finds a message."""
    await leave_unmatched(conn, 7000)
    early = await add_outbound(conn, wamid="other.3")
    assert await tracked.tracker.match_waiting() == 1
    late = await add_outbound(conn, wamid="other.6999")
    assert await tracked.tracker.match_waiting() == 1
    again = await add_outbound(conn, wamid="other.4")

    assert await tracked.tracker.match_waiting() == 1
    assert {(await row_of(conn, item))["status"] for item in (early, late, again)} == {"delivered"}


async def test_what_came_lately_is_looked_at_each_time_however_much_waits(
    tracked: Tracking, conn: Connection
) -> None:
    await leave_unmatched(conn, 7000)
    assert await tracked.hear(happened("delivered")) == ["unmatched"]
    message_id = await add_outbound(conn)

    assert await tracked.tracker.match_waiting() == 1
    assert (await row_of(conn, message_id))["status"] == "delivered"


async def leave_unmatched(conn: Connection, count: int) -> None:
    """Events of two hours ago that found no message, with the wamids `other.1` and so on."""
    await conn.execute(
        "insert into status_events (wamid, status, received_at, outcome)"
        " select 'other.' || n, 'delivered', now() - interval '2 hours', 'unmatched'"
        " from generate_series(1, $1::int) as n",
        count,
    )


async def test_a_crash_between_storing_and_applying_is_made_good_by_the_redelivery(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn)
    await tracked.tracker.store([happened("delivered")])

    assert await outcomes(conn) == [("delivered", None)]
    assert await tracked.hear(happened("delivered")) == ["applied"]
    assert (await row_of(conn, message_id))["status"] == "delivered"
    assert await outcomes(conn) == [("delivered", "applied")]


async def test_an_event_finds_its_message_by_the_platforms_ids(tracked: Tracking, conn: Connection) -> None:
    original = await add_outbound(
        conn, "failed", wamid="wamid.a", attempts=[("failed", "wamid.a")], genesys_message_id="g1"
    )
    replay = await add_outbound(
        conn, wamid="wamid.b", attempts=[], genesys_message_id="g1", replay_of=original
    )
    earlier = await add_outbound(
        conn, wamid="wamid.d", attempts=[("abandoned", "wamid.c"), ("sent", "wamid.d")]
    )
    heard = await tracked.hear(
        happened("delivered", genesys_message_id="g1", source="genesys"), happened("read", wamid="wamid.c")
    )
    assert heard == ["applied", "applied"]
    assert (await row_of(conn, replay))["status"] == "delivered"
    assert (await row_of(conn, original))["status"] == "failed"
    row = await row_of(conn, earlier)

    assert (row["status"], row["wamid"]) == ("read", "wamid.d")


@pytest.mark.parametrize("linked_by", ["message_id", "wamid"])
async def test_a_campaigns_recipient_moves_with_its_message(
    tracked: Tracking, conn: Connection, linked_by: str
) -> None:
    message_id = await add_outbound(conn, campaign_id=await add_campaign(conn))
    link = {"message_id": message_id} if linked_by == "message_id" else {"wamid": "wamid.1"}
    await insert(
        conn, "broadcast_recipients", campaign_id="spring", wa_id="491700000001", status="sent", **link
    )
    await tracked.hear(happened("delivered", 2))
    row = await recipient(conn)
    assert (row["status"], row["delivered_at"], row["wamid"]) == ("delivered", at(2), "wamid.1")
    await tracked.hear(happened("failed", 3, FINAL))
    row = await recipient(conn)
    assert (row["status"], row["error_code"]) == ("failed", str(FINAL))
    await tracked.hear(happened("read", 4))
    row = await recipient(conn)

    assert (row["status"], row["read_at"], row["error_code"]) == ("read", at(4), None)


async def test_a_skipped_recipient_stays_skipped(tracked: Tracking, conn: Connection) -> None:
    await add_outbound(conn)
    await add_campaign(conn)
    await insert(
        conn,
        "broadcast_recipients",
        campaign_id="spring",
        wa_id="491700000001",
        status="skipped",
        wamid="wamid.1",
    )
    skipped = await recipient(conn)
    await tracked.hear(happened("read"))

    assert await recipient(conn) == skipped


async def test_a_recipient_that_a_first_message_reached_does_not_go_back_with_its_replay(
    tracked: Tracking, conn: Connection
) -> None:
    campaign_id = await add_campaign(conn)
    first = await add_outbound(conn, campaign_id=campaign_id)
    replay = await add_outbound(conn, wamid="wamid.2", campaign_id=campaign_id, replay_of=first)
    link = {"message_id": replay, "wamid": "wamid.1"}
    await insert(
        conn, "broadcast_recipients", campaign_id="spring", wa_id="491700000001", status="sent", **link
    )
    await tracked.hear(happened("read", 3))

    await tracked.hear(happened("delivered", 5, wamid="wamid.2"))

    assert (await row_of(conn, replay))["status"] == "delivered"
    assert (await recipient(conn))["status"] == "read"


async def test_our_own_word_is_an_event_like_any_other(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    await tracked.record(OwnEvent(message_id, "sent", "trace-9", attempt=1, wamid="wamid.1"))
    assert await tracked.hear(happened("sent", 1)) == ["duplicate"]
    assert await outcomes(conn) == [("sent", "applied"), ("sent", "duplicate")]
    assert (await row_of(conn, message_id))["sent_at"] == at(1)
    [sent] = await told(conn, "outbound.sent")
    assert sent["wamid"] == "wamid.1"
    assert sent["colour"] == "blue"
    assert sent["trace_id"] == "trace-9"
    assert await conn.fetchval("select count(*) from outbound_bodies") == 1
    await tracked.hear(happened("delivered", 2))

    assert await conn.fetchval("select count(*) from outbound_bodies") == 0


async def test_our_own_failure_ends_the_message_once(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    error = SendError(code="131047", message="window closed")
    own = OwnEvent(message_id, "failed", "trace", attempt=1, error=error, http_status=400)
    assert (await tracked.record(own)).statuses == {message_id: "failed"}
    again = await tracked.record(OwnEvent(message_id, "failed", "trace", error=SendError(code="expired")))
    assert again.events == []
    row = await row_of(conn, message_id)
    assert (row["status"], row["error_code"], row["error_message"]) == ("failed", "131047", "window closed")
    attempt = await conn.fetchrow("select outcome, error_code, http_status from send_attempts")
    assert attempt is not None
    assert tuple(attempt) == ("failed", "131047", 400)
    [failed] = await told(conn, "outbound.failed")

    assert failed["error"] == {"code": "131047", "message": "window closed"}
    assert await conn.fetchval("select count(*) from dead_letter_queue") == 0


async def test_our_own_failure_does_not_count_while_an_attempt_can_succeed(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[("ambiguous", None)])
    own = OwnEvent(message_id, "failed", "trace", error=SendError(code="expired"))

    assert (await tracked.record(own)).statuses == {message_id: "queued"}
    assert await told(conn, "outbound.failed") == []
    assert await tracked.hear(happened("delivered", callback_data=named(message_id))) == ["applied"]


async def test_our_word_on_nothing_or_on_what_is_gone_is_nothing(tracked: Tracking, conn: Connection) -> None:
    gone = OwnEvent(UUID(int=7), "failed", "trace", error=SendError(code="expired"))
    for events in ((), (gone,)):
        recorded = await tracked.record(*events)
        assert (recorded.events, recorded.statuses) == ([], {})

    assert await outcomes(conn) == []


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([happened("delivered", 90), happened("read", 95)], 80.0),
        ([happened("read", 95), happened("delivered", 90)], 85.0),  # where the read came first, it is known
        ([happened("delivered", 9)], 0.0),  # the platforms' times are whole seconds
        ([happened("failed", 20, FINAL)], None),
    ],
)
async def test_how_long_a_message_was_on_its_way_is_measured_once(
    tracked: Tracking, conn: Connection, events: list[StatusEvent], seconds: float | None
) -> None:
    await add_outbound(conn, sent_at=at(10))

    for event in [*events, *events]:
        await tracked.hear(event)

    exposed = tracked.metrics.expose().decode()
    if seconds is None:
        assert "wabus_delivery_seconds_count" not in exposed
    else:
        assert 'wabus_delivery_seconds_count{lane="reply"} 1.0' in exposed
        assert f'wabus_delivery_seconds_sum{{lane="reply"}} {seconds}' in exposed


async def test_a_message_that_arrives_before_it_is_known_as_sent_was_on_its_way_for_no_time(
    tracked: Tracking, conn: Connection
) -> None:
    await add_outbound(conn, lane="bulk")

    await tracked.hear(happened("delivered", 9))

    assert 'wabus_delivery_seconds_sum{lane="bulk"} 0.0' in tracked.metrics.expose().decode()
