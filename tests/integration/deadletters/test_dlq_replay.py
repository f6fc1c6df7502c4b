"""Replaying dead letters on real servers: each once, whoever asks, and worked as a message of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import orjson
import pytest

from shared.amqp.broker import Publisher
from shared.amqp.client import lend_publisher
from shared.amqp.delivery import REPLAY_OF, Publication
from shared.deadletters.replay import Replayer, ReplayReport
from shared.deadletters.store import DeadLetterStore
from shared.errors import WabusError
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, insert_letter, letters, publish_dead
from tests.support.paces import FAST
from tests.support.rows import add_campaign, add_mapping, add_message, insert
from tests.support.sending import CUSTOMER, Sender, text
from tests.support.upkeep import prune
from tests.support.waiting import until

#: A claim ends when a test ends it.
DURATIONS: Final = replace(FAST, replay_claim_s=60.0)


class Operator:
    """Someone who replays, with connections of their own."""

    def __init__(self, cluster: Cluster, publisher: Publisher) -> None:
        self.database = Database(cluster.database_url)
        self.publisher = publisher
        self.replayer = Replayer(self.database, publisher, DURATIONS)

    async def replay(self, *ids: UUID, by: str = "ana", accept_duplicate: bool = False) -> ReplayReport:
        return await self.replayer.replay(ids, by=by, why="fixed", accept_duplicate=accept_duplicate)


@asynccontextmanager
async def at_work(cluster: Cluster) -> AsyncIterator[Operator]:
    async with lend_publisher(cluster.rabbitmq_url, "test operator", DURATIONS) as publisher:
        operator = Operator(cluster, publisher)
        yield operator
        await operator.database.close()


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[Operator]:
    async with at_work(cluster) as operator:
        yield operator


async def test_a_replay_is_the_original_message_again(cluster: Cluster, operator: Operator) -> None:
    headers = {
        "x-own": "kept",
        "x-attempt": 5,
        "x-idempotency-key": "wamid.1",
        "x-wabus-reason": "invalid_payload",
        "x-wabus-error": "no",
        "x-wabus-attempts": 5,
        "x-wabus-source-queue": "inbound-resolver",
        "x-death": [{"queue": "inbound-resolver", "reason": "delivery_limit"}],
        "x-first-death-queue": "inbound-resolver",
    }
    row = await insert_letter(
        cluster, headers=json.dumps(headers), raw_body=b"\xffbytes", metadata='{"correlation_id": "trace-1"}'
    )

    report = await operator.replay(row["id"])

    assert report == ReplayReport(replayed=(row["id"],))
    [message] = await cluster.take("inbound-resolver")
    assert message.body == b"\xffbytes"
    assert message.correlation_id == "trace-1"
    carried = dict(message.headers)
    del carried["traceparent"]
    carried.pop("x-delivery-count", None)
    assert carried == {
        "x-own": "kept",
        "x-attempt": 1,
        "x-idempotency-key": "wamid.1",
        "x-replay-of": str(row["id"]),
        "x-wabus-exchange": "wa.inbound",
        "x-wabus-routing-key": "491700000001",
    }
    [letter] = await letters(cluster)

    assert (letter["status"], letter["resolved_by"], letter["resolution"]) == ("replayed", "ana", "fixed")
    assert letter["replayed_at"] is not None
    assert letter["replay_count"] == 1


async def test_an_unrouted_message_goes_back_to_its_exchange(cluster: Cluster, operator: Operator) -> None:
    row = await insert_letter(
        cluster, reason="unrouted", source_queue="wa.outbound", exchange="wa.outbound", routing_key="reply.1"
    )
    await operator.replay(row["id"])
    [message] = await cluster.take("outbound-sender")

    assert (message.exchange, message.routing_key) == ("wa.outbound", "reply.1")
    assert message.headers["x-replay-of"] == str(row["id"])


async def test_two_operators_at_once_produce_one_message(cluster: Cluster, operator: Operator) -> None:
    rows = [await insert_letter(cluster) for _ in range(20)]
    ids = [row["id"] for row in rows]

    async with at_work(cluster) as other:
        reports = await asyncio.gather(operator.replay(*ids), other.replay(*reversed(ids), by="ben"))

    assert sorted(letter for report in reports for letter in report.replayed) == sorted(ids)
    assert sorted(letter for report in reports for letter in report.not_claimed) == sorted(ids)
    messages = await cluster.take("inbound-resolver")

    assert sorted(str(message.headers["x-replay-of"]) for message in messages) == sorted(map(str, ids))
    assert {row["replay_count"] for row in await letters(cluster)} == {1}


@pytest.mark.parametrize("status", ["replayed", "dismissed", "replaying"])
async def test_what_is_settled_or_claimed_is_not_replayed(
    cluster: Cluster, operator: Operator, status: str
) -> None:
    later = await cluster.conn.fetchval("select now() + interval '1 minute'")
    row = await insert_letter(cluster, status=status, claimed_until=later)
    report = await operator.replay(row["id"])

    assert report == ReplayReport(not_claimed=(row["id"],))
    assert await cluster.take("inbound-resolver") == []


async def test_an_ambiguous_send_is_replayed_only_where_a_duplicate_is_accepted(
    cluster: Cluster, operator: Operator
) -> None:
    row = await insert_letter(cluster, reason="send_ambiguous", source_queue="outbound-sender")
    assert (await operator.replay(row["id"])).not_claimed == (row["id"],)
    assert (await operator.replay(row["id"], accept_duplicate=True)).replayed == (row["id"],)
    assert len(await cluster.take("outbound-sender")) == 1


class DyingPublisher:
    """Publishes, and is then `kill -9`, before anything is marked."""

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        await self._inner.publish(batch)
        raise asyncio.CancelledError


async def test_a_replay_that_ended_between_publish_and_mark_is_claimed_again_after_its_lease(
    cluster: Cluster, operator: Operator
) -> None:
    row = await insert_letter(cluster)
    dying = Replayer(operator.database, DyingPublisher(operator.publisher), DURATIONS)
    with pytest.raises(asyncio.CancelledError):
        await dying.replay([row["id"]], by="ana", why="fixed")
    assert (await letters(cluster))[0]["status"] == "replaying"
    assert (await operator.replay(row["id"])).not_claimed == (row["id"],)

    await cluster.conn.execute("update dead_letter_queue set claimed_until = now()")
    assert (await operator.replay(row["id"])).replayed == (row["id"],)
    messages = await cluster.take("inbound-resolver")
    assert [message.headers["x-replay-of"] for message in messages] == [str(row["id"])] * 2
    [letter] = await letters(cluster)

    assert (letter["status"], letter["replay_count"]) == ("replayed", 1)


async def test_a_late_mark_does_not_touch_a_claim_of_someone_else(
    cluster: Cluster, operator: Operator
) -> None:
    row = await insert_letter(cluster)

    class SlowPublisher:
        async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
            await cluster.conn.execute(
                "update dead_letter_queue set claimed_until = now() + interval '1 hour', resolved_by = 'ben'"
            )
            return [None for _ in batch]

    await Replayer(operator.database, SlowPublisher(), FAST).replay([row["id"]], by="ana", why="fixed")

    [letter] = await letters(cluster)

    assert (letter["status"], letter["resolved_by"]) == ("replaying", "ben")


async def test_what_cannot_be_published_is_pending_again(cluster: Cluster, operator: Operator) -> None:
    gone = await insert_letter(cluster, source_queue="no-such-queue")
    nowhere = await insert_letter(cluster, source_queue="dlq-handler")
    good = await insert_letter(cluster)

    report = await operator.replay(gone["id"], nowhere["id"], good["id"])

    assert report.replayed == (good["id"],)
    assert {letter for letter, _ in report.failed} == {gone["id"], nowhere["id"]}
    rows = {row["id"]: row for row in await letters(cluster)}

    assert rows[gone["id"]]["status"] == rows[nowhere["id"]]["status"] == "pending"
    assert rows[gone["id"]]["claimed_until"] is None
    assert rows[gone["id"]]["replay_count"] == 0


async def test_a_replay_of_a_failed_message_names_it(cluster: Cluster, operator: Operator) -> None:
    failed = await add_message(
        cluster.conn, mapping_id=await add_mapping(cluster.conn), status="failed", client_message_id="c1"
    )
    row = await insert_letter(cluster, source_queue="outbound-sender", message_id=failed)
    await operator.replay(row["id"])
    [message] = await cluster.take("outbound-sender")

    assert message.headers["x-wabus-message-id"] == str(failed)


@pytest.mark.parametrize(
    ("reason", "age_h", "expected"),
    [
        ("lock_timeout", 2, True),
        ("database_error", 2, True),
        ("lock_timeout", 0, False),
        ("invalid_payload", 2, False),
        ("unexpected_error", 2, False),
    ],
)
async def test_what_the_database_killed_goes_back_by_itself(
    cluster: Cluster, operator: Operator, reason: str, age_h: float, expected: bool
) -> None:
    await insert_letter(cluster, reason=reason)
    await cluster.conn.execute(
        "update dead_letter_queue set created_at = now() - $1::interval", timedelta(hours=age_h)
    )
    durations = replace(DURATIONS, auto_replay_s=3600.0)
    report = await Replayer(operator.database, operator.publisher, durations).replay_due()

    assert bool(report.replayed) is expected
    assert len(await cluster.take("inbound-resolver")) == int(expected)


async def test_automatic_replays_are_counted_on_the_first_of_a_chain(
    cluster: Cluster, operator: Operator
) -> None:
    """Die, go back, die again …: three times by itself, then it waits for a person."""
    async with cluster.running("dlq-handler"):
        await publish_dead(cluster, b'{"n": 1}', reason="lock_timeout")
        for round_ in range(1, 4):
            await until(partial(_are_stored, cluster, round_))
            await until(partial(_replays, operator))
            [message] = await cluster.take("inbound-resolver")
            replay_of = str(message.headers["x-replay-of"])
            await publish_dead(cluster, message.body, reason="database_error", x_replay_of=replay_of)
        await until(lambda: _are_stored(cluster, 4))
        await cluster.conn.execute("update dead_letter_queue set created_at = created_at - interval '1 hour'")
        assert (await operator.replayer.replay_due()).replayed == ()
    rows = await letters(cluster)

    assert [row["status"] for row in rows] == ["replayed", "replayed", "replayed", "pending"]
    assert [row["replay_of"] for row in rows] == [None, *[rows[0]["id"]] * 3]
    assert rows[0]["replay_count"] == 3
    assert [row["automatic"] for row in rows] == [True, True, True, False]
    assert await DeadLetterStore(operator.database).count_pending() == 1


async def _are_stored(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) == count


async def _replays(operator: Operator) -> bool:
    return bool((await operator.replayer.replay_due()).replayed)


async def test_several_schedulers_send_each_back_once(cluster: Cluster, operator: Operator) -> None:
    for _ in range(10):
        await insert_letter(cluster, reason="lock_timeout")
    await cluster.conn.execute("update dead_letter_queue set created_at = now() - interval '1 hour'")
    await asyncio.gather(*(operator.replayer.replay_due() for _ in range(4)))

    assert len(await cluster.take("inbound-resolver")) == 10


async def test_settled_dead_letters_go_after_their_time_and_pending_ones_never(cluster: Cluster) -> None:
    old = await cluster.conn.fetchval("select now() - interval '31 days'")
    new = await cluster.conn.fetchval("select now() - interval '29 days'")
    pending = await insert_letter(cluster, created_at=old)
    first = await insert_letter(cluster, created_at=old, status="replayed", replayed_at=old)
    await insert_letter(cluster, created_at=old, replay_of=first["id"])
    lately = await insert_letter(cluster, created_at=old, status="dismissed", dismissed_at=new)
    for _ in range(3):
        await insert_letter(cluster, created_at=old, status="dismissed", dismissed_at=old)

    removed = [await prune(cluster.conn, "dead_letter_queue", 2) for _ in range(3)]

    assert removed == [2, 1, 0]

    kept = {row["id"] for row in await letters(cluster)}

    assert {pending["id"], first["id"], lately["id"]} < kept
    assert len(kept) == 4


REFUSED = "491700000906"


async def test_a_failed_outbound_message_is_really_worked_again(sender: Sender, operator: Operator) -> None:
    """The Cloud API refuses it each time, which tells that it was asked each time."""
    cluster = sender.cluster
    async with sender.running(), cluster.running("dlq-handler"):
        await sender.ask(text(customer=REFUSED))
        for count in (1, 2, 3):
            await until(partial(_are_stored, cluster, count))
            letter = (await letters(cluster))[-1]
            assert letter["reason"] == "send_rejected"
            if count < 3:
                assert (await operator.replay(letter["id"])).replayed == (letter["id"],)
        await until(lambda: len(cluster.told("outbound.failed")) == 3)

    rows = await cluster.conn.fetch("select * from message_tracking order by seq")
    assert [row["status"] for row in rows] == ["failed"] * 3
    assert [row["replay_of"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
    dead = await letters(cluster)

    assert [row["message_id"] for row in dead] == [row["id"] for row in rows]
    assert [row["replay_of"] for row in dead] == [None, dead[0]["id"], dead[0]["id"]]
    assert len(await sender.attempts()) == 3


async def test_a_replay_that_comes_twice_is_sent_once(sender: Sender, operator: Operator) -> None:
    """The operator's process ended between its publish and its mark, and another took over."""
    cluster = sender.cluster
    async with sender.running(), cluster.running("dlq-handler"):
        await sender.ask(text(customer=REFUSED))
        await until(lambda: _are_stored(cluster, 1))
        [letter] = await letters(cluster)
        dying = Replayer(operator.database, DyingPublisher(operator.publisher), DURATIONS)
        with pytest.raises(asyncio.CancelledError):
            await dying.replay([letter["id"]], by="ana", why="fixed")
        await cluster.conn.execute("update dead_letter_queue set claimed_until = now()")
        assert (await operator.replay(letter["id"])).replayed == (letter["id"],)
        await until(lambda: _are_stored(cluster, 2))
        await sender.until_worked()

    assert len(await sender.attempts()) == 2
    assert await cluster.conn.fetchval("select count(*) from message_tracking") == 2


async def add_last_recipient(sender: Sender, customer: str) -> None:
    conn = sender.cluster.conn
    await add_campaign(conn, id="spring", status="running", phone_number_id="1001")
    await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=customer, status="queued")


async def recipient(cluster: Cluster) -> dict[str, object]:
    row = await cluster.conn.fetchrow("select * from broadcast_recipients")
    assert row is not None
    return dict(row)


async def test_the_recipient_of_a_campaign_that_is_done_follows_the_replays_of_its_message(
    sender: Sender, operator: Operator
) -> None:
    """Refused, replayed and refused, replayed and read: what counts is the newest, and done stays done."""
    cluster = sender.cluster
    await add_last_recipient(sender, CUSTOMER)
    async with (
        sender.with_statuses(),
        sender.running(),
        cluster.running("dlq-handler", "status-updater", "scheduler"),
    ):
        await sender.sandbox.change(fault={"code": 131026, "http_status": 400, "times": 2})
        await sender.ask(text("campaign:spring:c", CUSTOMER, campaign_id="spring"), "bulk")
        await until(partial(_are_stored, cluster, 1))
        await until(lambda: _is(cluster, "select status = 'done' from broadcast_campaigns"))
        assert (await recipient(cluster))["status"] == "failed"
        for count in (1, 2):
            await operator.replay((await letters(cluster))[-1]["id"])
            if count == 1:
                await until(partial(_are_stored, cluster, 2))
                failed = await recipient(cluster)
        await until(lambda: _is(cluster, "select status = 'read' from broadcast_recipients"))
    rows = await cluster.conn.fetch("select id, wamid, status from message_tracking order by seq")
    assert [row["status"] for row in rows] == ["failed", "failed", "read"]
    assert (failed["status"], failed["message_id"], failed["error_code"]) == (
        "failed",
        rows[1]["id"],
        "131026",
    )
    reached = await recipient(cluster)

    assert (reached["message_id"], reached["wamid"]) == (rows[2]["id"], rows[2]["wamid"])
    assert reached["error_code"] is None
    assert reached["sent_at"] is not None
    assert await cluster.conn.fetchval("select status from broadcast_campaigns") == "done"


async def test_a_recipient_whose_message_died_before_it_became_a_row_follows_its_replay(
    sender: Sender, operator: Operator
) -> None:
    cluster = sender.cluster
    await add_last_recipient(sender, CUSTOMER)
    message = text("campaign:spring:c", CUSTOMER, campaign_id="spring")
    async with cluster.running("dlq-handler"):
        await publish_dead(
            cluster,
            orjson.dumps(message),
            queue="outbound-sender.bulk",
            reason="unexpected_error",
            x_wabus_exchange="wa.outbound",
            x_wabus_routing_key="bulk.c",
        )
        await until(lambda: _is(cluster, "select status = 'failed' from broadcast_recipients"))
        async with sender.running():
            await operator.replay((await letters(cluster))[0]["id"])
            await until(lambda: _is(cluster, "select status = 'sent' from broadcast_recipients"))

    assert (await recipient(cluster))["message_id"] == (await sender.row("campaign:spring:c"))["id"]


async def test_what_an_operator_replays_twice_over_leaves_another_recipient_alone(
    sender: Sender, operator: Operator
) -> None:
    """A recipient who was sent to is not queued again by the replay of a message that is not theirs."""
    cluster = sender.cluster
    await add_last_recipient(sender, CUSTOMER)
    async with sender.running():
        await sender.ask(text("campaign:spring:c", CUSTOMER, campaign_id="spring"), "bulk")
        await until(lambda: _is(cluster, "select status = 'sent' from broadcast_recipients"))
        before = await recipient(cluster)
        other = text("by hand", CUSTOMER, campaign_id="spring")
        await sender.ask(other, "bulk", **{REPLAY_OF: str(uuid4())})
        await sender.until_status("sent", "by hand")

    assert await recipient(cluster) == before


async def _is(cluster: Cluster, query: str) -> bool:
    return bool(await cluster.conn.fetchval(query))
