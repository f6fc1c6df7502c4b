"""Failures of sent messages on a real database: tried again, counted, or belonging to what is past."""

from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.durable.deferral import DeferralStore, Window
from shared.durations import DURATIONS
from shared.messaging.messages import STATUS_RETRY, OwnEvent
from shared.payloads import SendError
from tests.support.rows import Connection, add_mapping, add_message, insert
from tests.support.tracking import (
    FINAL,
    TRANSIENT,
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


async def attempts(conn: Connection) -> list[tuple[Any, ...]]:
    rows = await conn.fetch("select attempt, outcome, wamid, error_code from send_attempts order by attempt")
    return [tuple(row) for row in rows]


async def deferred(conn: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await conn.fetch("select reason, headers, body from deferred_messages")]


async def send_again(tracked: Tracking, conn: Connection, message_id: UUID, number: int) -> list[str]:
    """As the sender does with a retry: claim, send, record."""
    await insert(conn, "send_attempts", message_id=message_id, attempt=number)
    own = OwnEvent(message_id, "sent", "trace", attempt=number, wamid=f"wamid.{number}", http_status=200)
    recorded = await tracked.record(own)
    return [item.event_type for item in recorded.events]


async def test_a_final_failure_ends_the_message_with_a_dead_letter(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn, wa_id="491700000077")
    assert await tracked.hear(happened("failed", 3, FINAL)) == ["applied"]
    row = await row_of(conn, message_id)
    assert (row["status"], row["failed_at"], row["error_code"]) == ("failed", at(3), str(FINAL))
    assert row["error_message"] == f"error {FINAL}"
    letter = await conn.fetchrow("select * from dead_letter_queue")
    assert letter is not None
    assert (letter["reason"], letter["source_queue"], letter["message_id"]) == (
        "send_rejected",
        "outbound-sender",
        message_id,
    )
    assert orjson.loads(letter["raw_body"])["message_text"] == "hello"
    headers = orjson.loads(letter["headers"])
    assert headers["x-own"] == "kept"
    assert headers["x-wabus-message-id"] == str(message_id)
    [failed] = await told(conn, "outbound.failed")

    assert failed["wa_id"] == "491700000077"
    assert failed["error"]["code"] == str(FINAL)
    assert len(await told(conn, "deadletter.stored")) == 1
    assert tracked.metrics.dlq_messages.labels("send_rejected")._value.get() == 1
    assert await conn.fetchval("select count(*) from outbound_bodies") == 0
    assert await attempts(conn) == [(1, "failed", "wamid.1", str(FINAL))]


@pytest.mark.parametrize("code", [FINAL, TRANSIENT])
async def test_a_failure_of_a_message_whose_body_is_kept_no_longer_is_told_and_not_retried(
    tracked: Tracking, conn: Connection, code: int
) -> None:
    """Pruned after 8 days: there is nothing to send again, and nothing to bury."""
    message_id = await add_outbound(conn)
    await conn.execute("delete from outbound_bodies")
    assert await tracked.hear(happened("failed", 3, code)) == ["applied"]
    assert (await row_of(conn, message_id))["status"] == "failed"
    [failed] = await told(conn, "outbound.failed")

    assert failed["error"]["code"] == str(code)
    assert await deferred(conn) == []
    assert await conn.fetchval("select count(*) from dead_letter_queue") == 0


async def test_a_transient_failure_is_sent_again_and_the_row_does_not_go_back(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn)
    assert await tracked.hear(happened("failed", 1, TRANSIENT)) == ["late"]
    row = await row_of(conn, message_id)
    assert (row["status"], row["failed_at"], row["error_code"]) == ("sent", None, str(TRANSIENT))
    assert await attempts(conn) == [(1, "failed", "wamid.1", str(TRANSIENT))]
    await conn.execute("update deferred_messages set not_before = now()")
    [due] = await DeferralStore(tracked.database, DURATIONS).claim_due("outbound-sender", Window(10, 10))
    assert due.reason == "status_retry"
    assert due.publication.routing_key == "outbound-sender"
    assert due.publication.headers[STATUS_RETRY] == 1
    assert due.publication.headers["x-own"] == "kept"
    assert orjson.loads(due.publication.body)["message_text"] == "hello"
    assert await send_again(tracked, conn, message_id, 2) == []
    row = await row_of(conn, message_id)

    assert (row["status"], row["wamid"], row["error_code"]) == ("sent", "wamid.2", None)
    assert await tracked.hear(happened("delivered", 9, wamid="wamid.2")) == ["applied"]
    assert await told(conn, "outbound.failed") == []


async def test_the_third_transient_failure_is_the_last(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn)
    for number in (1, 2):
        assert await tracked.hear(happened("failed", number, TRANSIENT, wamid=f"wamid.{number}")) == ["late"]
        assert [row[0] for row in await deferred(conn)] == ["status_retry"]
        await send_again(tracked, conn, message_id, number + 1)

    assert await tracked.hear(happened("failed", 3, TRANSIENT, wamid="wamid.3")) == ["applied"]
    assert (await row_of(conn, message_id))["status"] == "failed"
    assert [row[1] for row in await attempts(conn)] == ["failed"] * 3
    assert await conn.fetchval("select reason from dead_letter_queue") == "max_retries_exceeded"
    assert len(await told(conn, "outbound.failed")) == 1


async def test_a_retry_takes_the_place_of_a_deferral_that_is_being_worked(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn)
    values = {"queue": "outbound-sender", "exchange": "", "routing_key": "", "body": b"{}"}
    in_hand = await insert(
        conn, "deferred_messages", **values, reason="rate_limit", not_before=at(0), message_id=message_id
    )
    await tracked.hear(happened("failed", 1, TRANSIENT))
    await DeferralStore(tracked.database, DURATIONS).remove([in_hand])

    assert [row[0] for row in await deferred(conn)] == ["status_retry"]


async def test_the_same_transient_failure_again_asks_for_no_second_retry(
    tracked: Tracking, conn: Connection
) -> None:
    await add_outbound(conn)
    await tracked.hear(happened("failed", 1, TRANSIENT))
    await conn.execute("delete from deferred_messages")

    assert await tracked.hear(happened("failed", 2, TRANSIENT)) == ["late"]
    assert await deferred(conn) == []


@pytest.mark.parametrize("delivered_first", [True, False])
async def test_nothing_is_sent_again_that_was_delivered(
    tracked: Tracking, conn: Connection, delivered_first: bool
) -> None:
    message_id = await add_outbound(conn)
    events = [happened("delivered", 2), happened("failed", 1, TRANSIENT)]
    for event in events if delivered_first else reversed(events):
        await tracked.hear(event)
    row = await row_of(conn, message_id)

    assert (row["status"], row["delivered_at"], row["failed_at"]) == ("failed", at(2), at(1))
    assert row["error_code"] == str(TRANSIENT)


@pytest.mark.parametrize("order", list(permutations(["failed", "delivered", "read"])))
async def test_a_reading_outweighs_a_transient_failure_whatever_the_order(
    tracked: Tracking, conn: Connection, order: tuple[str, ...]
) -> None:
    message_id = await add_outbound(conn)
    for status in order:
        code = TRANSIENT if status == "failed" else None
        await tracked.hear(happened(status, {"failed": 1, "delivered": 2, "read": 3}[status], code))

    assert await row_of(conn, message_id) == {
        "status": "read",
        "wamid": "wamid.1",
        "sent_at": None,
        "delivered_at": at(2),
        "read_at": at(3),
        "failed_at": at(1),
        "error_code": None,
        "error_message": None,
    }


async def test_the_failure_of_a_superseded_attempt_is_late(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(
        conn, wamid="wamid.2", attempts=[("abandoned", "wamid.1"), ("sent", "wamid.2")]
    )

    assert await tracked.hear(happened("failed", 1, FINAL, wamid="wamid.1")) == ["late"]
    assert (await row_of(conn, message_id))["status"] == "sent"
    assert await attempts(conn) == [(1, "abandoned", "wamid.1", str(FINAL)), (2, "sent", "wamid.2", None)]
    assert await tracked.hear(happened("failed", 2, FINAL, wamid="wamid.2")) == ["applied"]
    assert (await row_of(conn, message_id))["status"] == "failed"


async def test_a_message_does_not_fail_while_an_earlier_attempt_may_have_reached_the_customer(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(
        conn, wamid="wamid.2", attempts=[("abandoned", None), ("sent", "wamid.2")]
    )
    bound = happened("sent", 1, wamid="wamid.1", callback_data=named(message_id, 1))

    assert await tracked.hear(bound) == ["duplicate"]
    assert await tracked.hear(happened("failed", 2, FINAL, wamid="wamid.2")) == ["late"]
    assert (await row_of(conn, message_id))["status"] == "sent"
    assert await deferred(conn) == []
    assert await tracked.hear(happened("delivered", 3, wamid="wamid.1")) == ["applied"]


async def test_a_status_with_our_callback_data_proves_an_ambiguous_send(
    tracked: Tracking, conn: Connection
) -> None:
    mapping = await add_mapping(conn, wa_id="491700000011")
    message_id = await add_outbound(
        conn, "queued", attempts=[("ambiguous", None)], mapping_id=mapping, genesys_message_id="g1"
    )
    row = {"queue": "outbound-sender", "exchange": "", "routing_key": "", "body": b"{}", "lane": "reply"}
    later = {"phone_number_id": "1001", "customer": "491700000011", "not_before": at(10**9)}
    await insert(conn, "deferred_messages", **row, **later, reason="ambiguous", message_id=message_id)
    await insert(conn, "deferred_messages", **row, **later | {"not_before": None}, reason="earlier_message")
    event = happened("delivered", 4, wamid="wamid.x", callback_data=named(message_id))
    assert await tracked.hear(event) == ["applied"]
    assert await attempts(conn) == [(1, "sent", "wamid.x", None)]
    state = await row_of(conn, message_id)
    assert (state["status"], state["wamid"], state["sent_at"]) == ("delivered", "wamid.x", None)
    assert await steps(conn) == [("queued", "sent", True), ("sent", "delivered", False)]
    [sent] = await told(conn, "outbound.sent")

    assert (sent["wamid"], sent["genesys_message_id"]) == ("wamid.x", "g1")
    assert await conn.fetchval("select count(*) from deferred_messages where not_before <= now()") == 2


async def test_a_status_before_the_answer_leaves_the_sender_nothing_to_tell(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    await tracked.hear(happened("sent", 1, wamid="wamid.x", callback_data=named(message_id)))
    recorded = await tracked.record(OwnEvent(message_id, "sent", "trace", attempt=1, wamid="wamid.x"))

    assert recorded.events == []
    assert len(await told(conn, "outbound.sent")) == 1
    assert await attempts(conn) == [(1, "sent", "wamid.x", None)]


async def test_a_failure_before_the_answer_is_not_undone_by_it(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[(None, None)])
    await tracked.hear(happened("failed", 1, TRANSIENT, wamid="wamid.x", callback_data=named(message_id)))
    recorded = await tracked.record(OwnEvent(message_id, "sent", "trace", attempt=1, wamid="wamid.x"))

    assert recorded.statuses == {message_id: "sent"}
    assert await attempts(conn) == [(1, "failed", "wamid.x", str(TRANSIENT))]
    assert [row[0] for row in await deferred(conn)] == ["status_retry"]


async def test_a_second_proof_does_not_close_two_attempts(tracked: Tracking, conn: Connection) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[("abandoned", None), (None, None)])
    await tracked.hear(happened("delivered", 1, wamid="wamid.1", callback_data=named(message_id, 1)))
    assert await attempts(conn) == [(1, "abandoned", "wamid.1", None), (2, None, None, None)]
    assert (await row_of(conn, message_id))["status"] == "delivered"
    await tracked.record(OwnEvent(message_id, "sent", "trace", attempt=2, wamid="wamid.2"))

    assert await attempts(conn) == [(1, "abandoned", "wamid.1", None), (2, "sent", "wamid.2", None)]


async def test_an_opt_out_that_a_status_reports_is_recorded(tracked: Tracking, conn: Connection) -> None:
    await add_outbound(conn, wa_id="491700000050")
    await insert(conn, "customer_profiles", phone="491700000050", opt_in_marketing=True)
    await add_message(conn, direction="INBOUND", status="received", wamid="wamid.in")
    heard = await tracked.hear(happened("failed", 1, 131050), happened("failed", 1, 131050, wamid="wamid.in"))
    assert heard == ["applied", "applied"]
    profile = await conn.fetchrow("select opt_in_marketing, marketing_opted_at from customer_profiles")

    assert profile is not None
    assert profile["opt_in_marketing"] is False
    assert profile["marketing_opted_at"] is not None


async def test_an_opt_out_that_is_told_again_keeps_its_time_until_they_opt_in(
    tracked: Tracking, conn: Connection
) -> None:
    mapping_id = await add_mapping(conn, wa_id="491700000050")
    for number in (1, 2, 3):
        await add_outbound(conn, mapping_id=mapping_id, wamid=f"wamid.{number}")

    await tracked.hear(happened("failed", 1, 131050, wamid="wamid.1"))
    first = await conn.fetchval("select marketing_opted_at from customer_profiles")
    await tracked.hear(happened("failed", 2, 131050, wamid="wamid.2"))

    assert await conn.fetchval("select marketing_opted_at from customer_profiles") == first

    await conn.execute("update customer_profiles set opt_in_marketing = true")
    await tracked.hear(happened("failed", 3, 131050, wamid="wamid.3"))

    profile = await conn.fetchrow("select opt_in_marketing, marketing_opted_at from customer_profiles")

    assert profile is not None
    assert profile["opt_in_marketing"] is False
    assert profile["marketing_opted_at"] > first


async def test_a_failure_of_our_own_beside_others_needs_no_attempt(
    tracked: Tracking, conn: Connection
) -> None:
    message_id = await add_outbound(conn, "queued", attempts=[("failed", None)])
    own = OwnEvent(message_id, "failed", "trace", error=SendError(code="expired"))

    assert (await tracked.record(own)).statuses == {message_id: "failed"}
    assert await attempts(conn) == [(1, "failed", None, None)]
