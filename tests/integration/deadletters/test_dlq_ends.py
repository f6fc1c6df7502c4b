"""An end is told when nothing can undo it any more: what goes back by itself has not failed yet."""

from functools import partial
from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.deadletters.store import DeadLetterStore
from shared.postgres.database import Database
from tests.integration.deadletters.test_dlq_messages import BODY, RAW, add_queued, die, status_of, told_failed
from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, letters, publish_dead
from tests.support.rows import add_campaign, add_mapping, insert
from tests.support.sending import CUSTOMER, Sender
from tests.support.waiting import until

CAMPAIGN_IDS = {
    "wa_id": CUSTOMER,
    "campaign_id": "spring",
    "client_message_id": f"campaign:spring:{CUSTOMER}",
}


async def add_recipient(cluster: Cluster, message_id: UUID | None) -> None:
    values = {"campaign_id": "spring", "wa_id": CUSTOMER, "status": "queued", "message_id": message_id}
    await insert(cluster.conn, "broadcast_recipients", **values)


async def recipient_status(cluster: Cluster) -> str:
    return str(await cluster.conn.fetchval("select status from broadcast_recipients"))


async def has_told(cluster: Cluster, count: int = 1) -> bool:
    return len(await told_failed(cluster)) == count


async def dismiss_all(cluster: Cluster) -> None:
    database = Database(cluster.database_url)
    ids = [row["id"] for row in await letters(cluster)]
    await DeadLetterStore(database).dismiss(ids, by="ana", why="not worth it")
    await database.close()


async def die_again(cluster: Cluster, body: bytes, reason: str, deaths: int) -> None:
    """Its replay comes to the sender's queue and dies there."""
    copies: list[Any] = []

    async def is_back() -> bool:
        copies.extend(await cluster.take("outbound-sender"))
        return bool(copies)

    await until(is_back)
    [copy] = copies
    replay_of = str(copy.headers["x-replay-of"])
    await publish_dead(cluster, body, queue="outbound-sender", reason=reason, x_replay_of=replay_of)
    await until(partial(_are_stored, cluster, deaths))


async def _are_stored(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) == count


@pytest.mark.parametrize("reason", ["lock_timeout", "database_error"])
async def test_what_goes_back_by_itself_has_not_failed_yet(cluster: Cluster, reason: str) -> None:
    await add_campaign(cluster.conn)
    message_id = await add_queued(cluster, campaign_id="spring")
    await add_recipient(cluster, message_id)

    await die(cluster, reason=reason)
    await die(cluster, orjson.dumps(BODY | {"client_message_id": "never a row"}), reason=reason)

    assert await status_of(cluster, message_id) == "queued"
    assert await recipient_status(cluster) == "queued"
    assert await told_failed(cluster) == []
    assert [row["untold"] for row in await letters(cluster)] == [True, True]


@pytest.mark.parametrize("is_tracked", [True, False], ids=["a row", "no row"])
async def test_it_fails_once_when_its_last_try_is_over(cluster: Cluster, is_tracked: bool) -> None:
    await add_campaign(cluster.conn, status="running")
    body = RAW if is_tracked else orjson.dumps(BODY | CAMPAIGN_IDS)
    message_id = await add_queued(cluster, campaign_id="spring") if is_tracked else None
    await add_recipient(cluster, message_id)

    async with cluster.running("dlq-handler", "scheduler"):
        await publish_dead(cluster, body, queue="outbound-sender", reason="database_error")
        for deaths in (2, 3, 4):
            assert await told_failed(cluster) == []
            await die_again(cluster, body, "database_error", deaths)
        await until(partial(has_told, cluster))
        await until(lambda: len(cluster.told("outbound.failed")) == 1)

    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "database_error"
    assert await recipient_status(cluster) == "failed"
    assert (await letters(cluster))[-1]["status"] == "pending"


@pytest.mark.parametrize("is_tracked", [True, False], ids=["a row", "no row"])
async def test_it_fails_at_once_when_another_try_ends_for_another_reason(
    cluster: Cluster, is_tracked: bool
) -> None:
    if is_tracked:
        await add_queued(cluster)

    async with cluster.running("dlq-handler", "scheduler"):
        await publish_dead(cluster, RAW, queue="outbound-sender", reason="lock_timeout")
        await die_again(cluster, RAW, "unexpected_error", 2)
        await until(partial(has_told, cluster))

    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "unexpected_error"


async def test_what_is_over_by_a_mark_that_came_late_is_told_by_the_next_look(cluster: Cluster) -> None:
    """Whoever replays may mark it after its message has died again, or may die before."""
    message_id = await add_queued(cluster)
    await die(cluster, reason="database_error")
    await cluster.conn.execute("update dead_letter_queue set replay_count = 3")

    async with cluster.running("dlq-handler", "scheduler"):
        await until(partial(has_told, cluster))

    assert await status_of(cluster, message_id) == "failed"
    assert [(row["automatic"], row["untold"]) for row in await letters(cluster)] == [(False, False)]


async def test_a_dismissal_tells_the_failure(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    await die(cluster, reason="database_error")
    await dismiss_all(cluster)

    async with cluster.running("dlq-handler", "dlq-handler"):
        await until(partial(has_told, cluster))

    assert await status_of(cluster, message_id) == "failed"
    assert len(await told_failed(cluster)) == 1


async def dismiss(cluster: Cluster, letter_id: UUID) -> None:
    database = Database(cluster.database_url)
    await DeadLetterStore(database).dismiss([letter_id], by="ana", why="not worth it")
    await database.close()


async def die_twice(cluster: Cluster) -> tuple[UUID, UUID, UUID]:
    """A queued message and two dead letters of it, each of which goes back by itself."""
    message_id = await add_queued(cluster)
    await die(cluster, reason="database_error")
    await die(cluster, reason="lock_timeout")
    first, second = await letters(cluster)
    assert (first["untold"], second["untold"]) == (True, True)
    return message_id, first["id"], second["id"]


async def _is_looked_at(cluster: Cluster, letter_id: UUID) -> bool:
    query = "select not untold from dead_letter_queue where id = $1"
    return bool(await cluster.conn.fetchval(query, letter_id))


async def test_a_dismissal_tells_nothing_while_another_death_of_the_message_goes_back(
    cluster: Cluster,
) -> None:
    message_id, first, second = await die_twice(cluster)
    await dismiss(cluster, first)
    async with cluster.running("dlq-handler"):
        await until(partial(_is_looked_at, cluster, first))
    assert await told_failed(cluster) == []
    assert await status_of(cluster, message_id) == "queued"

    await dismiss(cluster, second)
    async with cluster.running("dlq-handler"):
        await until(partial(has_told, cluster))
    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "lock_timeout"
    assert await status_of(cluster, message_id) == "failed"


async def test_a_death_for_good_tells_nothing_while_another_goes_back(cluster: Cluster) -> None:
    message_id = await add_queued(cluster)
    await die(cluster, reason="database_error")
    await die(cluster, reason="unexpected_error")

    assert await told_failed(cluster) == []
    assert await status_of(cluster, message_id) == "queued"


@pytest.mark.parametrize("automatic", [True, False], ids=["by itself", "an operator's"])
async def test_a_replay_under_way_is_waited_for_until_it_dies(cluster: Cluster, automatic: bool) -> None:
    message_id, first, second = await die_twice(cluster)
    await cluster.conn.execute(
        "update dead_letter_queue set status = 'replayed', replayed_at = now(), automatic = $2 where id = $1",
        second,
        automatic,
    )
    await dismiss(cluster, first)
    async with cluster.running("dlq-handler"):
        await until(partial(_is_looked_at, cluster, first))
    assert await told_failed(cluster) == []

    await die(cluster, reason="unexpected_error", x_replay_of=str(second))
    [event] = await told_failed(cluster)

    assert event["error"]["code"] == "unexpected_error"
    assert await status_of(cluster, message_id) == "failed"


async def test_two_deaths_that_go_back_until_both_are_over_tell_one_failure(cluster: Cluster) -> None:
    """Neither waits for the other for ever."""
    message_id, _, _ = await die_twice(cluster)

    async def is_told() -> bool:
        for copy in await cluster.take("outbound-sender"):
            replay_of = str(copy.headers["x-replay-of"])
            await publish_dead(
                cluster, RAW, queue="outbound-sender", reason="database_error", x_replay_of=replay_of
            )
        return await has_told(cluster)

    async with cluster.running("dlq-handler", "scheduler"):
        await until(is_told)

    assert await count_letters(cluster) == 8
    assert await status_of(cluster, message_id) == "failed"


@pytest.mark.parametrize("time", ["0044-03-15 12:00:00+00 BC", "290000-01-01 00:00:00+00"])
async def test_the_end_of_a_dead_letter_of_an_impossible_time_is_told(cluster: Cluster, time: str) -> None:
    message_id = await add_queued(cluster)
    await die(cluster, reason="database_error")
    await dismiss_all(cluster)
    await cluster.conn.execute(f"update dead_letter_queue set created_at = '{time}'")

    async with cluster.running("dlq-handler"):
        await until(partial(has_told, cluster))

    assert await status_of(cluster, message_id) == "failed"


async def test_an_automatic_replay_that_succeeds_is_sent_and_nothing_is_told_as_failed(
    sender: Sender,
) -> None:
    cluster = sender.cluster
    mapping_id = await add_mapping(cluster.conn)
    message_id = await add_queued(cluster, mapping_id=mapping_id)

    async with cluster.running("dlq-handler", "scheduler"), sender.running():
        await publish_dead(cluster, RAW, queue="outbound-sender", reason="database_error")
        await sender.until_status("sent")
        await until(lambda: len(cluster.told("outbound.sent")) == 1)

    assert await status_of(cluster, message_id) == "sent"
    assert await told_failed(cluster) == []


async def test_one_dismissed_and_another_sent_by_itself_is_sent_and_not_told_as_failed(
    sender: Sender,
) -> None:
    cluster = sender.cluster
    message_id, first, _ = await die_twice(cluster)
    await dismiss(cluster, first)

    async with cluster.running("dlq-handler"):
        await until(partial(_is_looked_at, cluster, first))
    async with cluster.running("dlq-handler", "scheduler"), sender.running():
        await sender.until_status("sent")
        await until(lambda: len(cluster.told("outbound.sent")) == 1)

    assert await status_of(cluster, message_id) == "sent"
    assert await told_failed(cluster) == []


async def test_a_replay_of_a_failed_message_that_goes_back_by_itself_goes_on_with_its_row(
    sender: Sender,
) -> None:
    """It was replayed by an operator, and then met an error of the database."""
    cluster = sender.cluster
    mapping_id = await add_mapping(cluster.conn)
    first = await add_queued(cluster, mapping_id=mapping_id, status="failed")
    second = await add_queued(cluster, mapping_id=mapping_id, status="failed", replay_of=first)
    third = await add_queued(cluster, mapping_id=mapping_id, replay_of=second)
    letter_id = await insert(
        cluster.conn,
        "dead_letter_queue",
        source_queue="outbound-sender",
        reason="database_error",
        raw_body=RAW,
        message_id=third,
        untold=True,
        exchange="wa.outbound",
        routing_key=f"reply.{CUSTOMER}",
    )

    async with cluster.running("scheduler"), sender.running():
        await until(partial(_is_sent, cluster, third))

    assert await cluster.conn.fetchval("select count(*) from message_tracking") == 3
    assert await cluster.conn.fetchval("select status from dead_letter_queue where id = $1", letter_id)


async def _is_sent(cluster: Cluster, message_id: UUID) -> bool:
    return await status_of(cluster, message_id) == "sent"


async def test_what_is_about_to_be_replayed_is_not_lost(cluster: Cluster) -> None:
    """Nothing of it is in a queue, and that for longer than a delivery is ever in hand."""
    mapping_id = await add_mapping(cluster.conn)
    message_id = await add_queued(cluster, mapping_id=mapping_id)
    await die(cluster, reason="database_error")
    await cluster.conn.execute("update dead_letter_queue set created_at = now() + interval '1 day'")
    marker = await add_queued(cluster, mapping_id=mapping_id, client_message_id="lost")
    await cluster.conn.execute("update message_tracking set created_at = now() - interval '1 day'")

    async with cluster.running("scheduler"):
        await until(partial(_is_deferred, cluster, marker))

    assert not await _is_deferred(cluster, message_id)


async def _is_deferred(cluster: Cluster, message_id: UUID) -> bool:
    query = "select exists (select from deferred_messages where message_id = $1)"
    return bool(await cluster.conn.fetchval(query, message_id))
