"""A status that can never apply to its message is one dead letter, whichever way it dies, however often."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest

from shared.amqp.client import lend_publisher
from shared.deadletters.replay import Replayer
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, letters, publish_dead
from tests.support.rows import add_mapping, add_message, insert
from tests.support.tracking import Tracking, at, happened, tracking
from tests.support.waiting import until

ODD_BODY = b' { "wamid":"wamid.in" ,"status": "delivered","timestamp":  "%s", "extra":1.50 } ' % (
    at(1).isoformat().encode()
)
#: Delivered is no state of a message that came in.
IMPOSSIBLE = {"status": "delivered", "timestamp": at(1).isoformat(), "wamid": "wamid.in"}


@pytest.fixture
async def replayer(cluster: Cluster) -> AsyncIterator[Replayer]:

    database = Database(cluster.database_url)
    async with lend_publisher(cluster.rabbitmq_url, "test operator", cluster.durations) as publisher:
        yield Replayer(database, publisher, cluster.durations)
    await database.close()


@pytest.fixture
async def tracked(database_url: str) -> AsyncIterator[Tracking]:
    async with tracking(database_url) as value:
        yield value


async def report(cluster: Cluster, **fields: Any) -> None:
    """The webhook, each time another AMQP message."""
    await cluster.publish("wa.status", "whatsapp", IMPOSSIBLE | fields)


async def report_oddly(cluster: Cluster) -> None:
    """The same event in JSON that nobody who wrote it anew would write so, with a header of its own."""
    await cluster.publish("wa.status", "whatsapp", ODD_BODY, headers={"x-own": "kept"})


async def add_inbound(cluster: Cluster) -> None:
    mapping = await add_mapping(cluster.conn)
    values = {"mapping_id": mapping, "direction": "INBOUND", "status": "received", "wamid": "wamid.in"}
    await add_message(cluster.conn, **values)


async def until_worked(cluster: Cluster) -> None:
    """Wait until all that was reported so far has died or was done; dead letters come in their order."""
    marker = b"marker %d" % await count_letters(cluster)
    await until(lambda: _is_empty(cluster))
    await publish_dead(cluster, marker)
    query = "select count(*) from dead_letter_queue where raw_body = $1"
    await until(lambda: cluster.conn.fetchval(query, marker))
    await cluster.conn.execute("delete from dead_letter_queue where raw_body = $1", marker)


async def _is_empty(cluster: Cluster) -> bool:
    """Nothing ready; and a status in hand is stored, and settled, before it dies."""
    return await cluster.depth("status-updater") == 0


async def test_each_repetition_of_a_webhook_adds_none(cluster: Cluster) -> None:
    await add_inbound(cluster)
    async with cluster.running("status-updater"):
        for count in (1, 2, 3):
            await report(cluster, pricing={"billable": count > 1})
            await until(partial(_has_died, cluster, count))
    async with cluster.running("dlq-handler"):
        await until_worked(cluster)
    [letter] = await letters(cluster)

    assert letter["reason"] == "state_violation"
    assert len(cluster.told("deadletter.stored")) == 2  # and the marker


async def test_what_came_before_its_message_and_comes_again_is_one(cluster: Cluster) -> None:
    async with cluster.running("status-updater"):
        await report(cluster)
        await until(lambda: _is_event(cluster, "unmatched"))
    await add_inbound(cluster)
    async with cluster.running("scheduler"):
        await until(lambda: _is_event(cluster, "rejected"))
    assert await count_letters(cluster) == 1
    async with cluster.running("status-updater"):
        await report(cluster)
        await until(partial(_has_died, cluster, 1))
    async with cluster.running("dlq-handler"):
        await until_worked(cluster)

    assert await count_letters(cluster) == 1


async def test_what_came_before_its_message_dies_as_it_was_published(cluster: Cluster) -> None:
    async with cluster.running("status-updater"):
        await report_oddly(cluster)
        await until(lambda: _is_event(cluster, "unmatched"))
    await add_inbound(cluster)
    async with cluster.running("scheduler"):
        await until(lambda: _is_event(cluster, "rejected"))
    [letter] = await letters(cluster)

    assert letter["raw_body"] == ODD_BODY
    assert orjson.loads(letter["headers"])["x-own"] == "kept"
    assert await cluster.conn.fetchval("select raw_body is null and raw_headers is null from status_events")


async def test_what_is_found_out_while_a_worker_has_it_in_hand_dies_as_it_was_published(
    cluster: Cluster,
) -> None:
    """An updater has stored the event, and ends before it has applied it: its delivery comes again."""
    await add_inbound(cluster)
    fields = {"wamid": "wamid.in", "occurred_at": at(1), "status": "delivered"}
    await insert(cluster.conn, "status_events", **fields)
    async with cluster.running("scheduler"):
        await until(lambda: _is_event(cluster, "rejected"))
    async with cluster.running("status-updater", "dlq-handler"):
        await report_oddly(cluster)
        await until(lambda: _are_letters(cluster, 1))
    [letter] = await letters(cluster)

    assert letter["raw_body"] == ODD_BODY
    assert orjson.loads(letter["headers"])["x-own"] == "kept"


async def test_a_lost_look_of_another_takes_nothing_of_what_must_wait(tracked: Tracking) -> None:
    """Whoever applies events and finds no message, without a delivery in hand, leaves them to the updater."""
    [stored] = await tracked.tracker.store([happened("delivered")])
    await tracked.tracker.apply([stored])
    async with tracked.database.connection() as connection:
        assert await connection.fetchval("select outcome is null from status_events")


async def test_what_died_in_hand_and_is_found_out_again_is_one(cluster: Cluster) -> None:
    """The updater ends between its dead letter and its commit's look by another: both have buried it."""
    await add_inbound(cluster)
    async with cluster.running("status-updater", "dlq-handler"):
        await report(cluster)
        await until(lambda: _are_letters(cluster, 1))
    await cluster.conn.execute("update status_events set outcome = null, message_id = null")
    async with cluster.running("scheduler"):
        await until(lambda: _is_event(cluster, "rejected"))

    assert await count_letters(cluster) == 1


async def test_a_repetition_after_its_dismissal_adds_none_and_a_replay_may_die_again(
    cluster: Cluster, replayer: Replayer
) -> None:
    await add_inbound(cluster)
    async with cluster.running("status-updater", "dlq-handler"):
        await report(cluster)
        await until(lambda: _are_letters(cluster, 1))
        [first] = await letters(cluster)
        assert (await replayer.replay([first["id"]], by="ana", why="fixed")).replayed == (first["id"],)
        await until(lambda: _are_letters(cluster, 2))
        second = (await letters(cluster))[1]
        await cluster.conn.execute(
            "update dead_letter_queue set status = 'dismissed' where id = $1", second["id"]
        )
        await report(cluster)
        await until(lambda: _is_empty(cluster))
    async with cluster.running("dlq-handler"):
        await until_worked(cluster)
    kept = await letters(cluster)

    assert [row["status"] for row in kept] == ["replayed", "dismissed"]
    assert [row["replay_of"] for row in kept] == [None, first["id"]]


async def _is_event(cluster: Cluster, outcome: str) -> bool:
    return bool(await cluster.conn.fetchval("select outcome = $1 from status_events", outcome))


async def _has_died(cluster: Cluster, count: int) -> bool:
    return await cluster.depth("dlq-handler") == count


async def _are_letters(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) == count
