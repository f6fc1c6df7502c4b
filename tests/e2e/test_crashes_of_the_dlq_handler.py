"""Crashes of the dlq-handler, and of whoever kills a message or replays it: each death is stored once."""

from uuid import UUID

import pytest

from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.dead_letters import count_letters, insert_letter, letters, publish_dead, publish_raw
from tests.support.leftovers import work_off
from tests.support.processes import Processes
from tests.support.waiting import until

_STORE = "workers.dlq_handler.store:DeathStore.store"
_INLET = "shared.amqp.kept.inlet:KeptInlet"
_OUTBOX = "shared.durable.outbox:Outbox.publish"
_PUBLISHER = "shared.amqp.kept.publisher:KeptPublisher.publish"
_REPLAYER = "shared.deadletters.replay:Replayer"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(CrashPoint(_STORE, "before"), id="before the commit"),
        pytest.param(CrashPoint(_STORE, "after"), id="commit | publish"),
        pytest.param(CrashPoint(_OUTBOX, "after"), id="publish | ack"),
        pytest.param(CrashPoint(f"{_INLET}.acknowledge", "after"), id="after an ack"),
    ],
)
async def test_each_dead_letter_is_stored_once(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    expected = []
    for number in range(12):
        body = f"dead {number}".encode()
        expected.append(body)
        if number % 2:
            await publish_dead(cluster, body)
        else:
            await publish_raw(cluster, "wa.broadcast", "no.such.key", body)
    await processes.crash("dlq-handler", point, BATCH_SIZE="4")

    async with cluster.running("dlq-handler", "scheduler"):
        await until(lambda: _are_stored(cluster, len(expected)))
        await until(lambda: _is_told(cluster))
    await work_off(cluster, "dlq-handler")

    assert sorted(bytes(row["raw_body"]) for row in await letters(cluster)) == sorted(expected)


async def test_a_worker_killed_between_a_death_and_its_ack_leaves_one_dead_letter(
    cluster: Cluster, processes: Processes
) -> None:
    for number in range(5):
        await cluster.publish("wa.inbound", "491700000001", f"poison {number}".encode())
    await processes.crash("inbound-resolver", CrashPoint(_PUBLISHER, "after"))

    async with cluster.running("inbound-resolver", "dlq-handler"):
        await until(lambda: _are_stored(cluster, 5))
    await work_off(cluster, "inbound-resolver", "dlq-handler")

    rows = await letters(cluster)

    assert sorted(bytes(row["raw_body"]) for row in rows) == [
        f"poison {number}".encode() for number in range(5)
    ]


@pytest.mark.parametrize(
    ("point", "copies"),
    [
        pytest.param(CrashPoint(f"{_REPLAYER}._publish", "before"), 1, id="claim | publish"),
        pytest.param(CrashPoint(f"{_REPLAYER}._publish", "after"), 2, id="publish | mark"),
        pytest.param(CrashPoint(f"{_REPLAYER}._mark", "after"), 1, id="after the mark"),
    ],
)
async def test_a_scheduler_killed_during_a_replay_leaves_it_to_the_next(
    cluster: Cluster, processes: Processes, point: CrashPoint, copies: int
) -> None:
    row = await insert_letter(cluster, reason="lock_timeout")
    await processes.crash("scheduler", point)

    async with cluster.running("scheduler"):
        await until(lambda: _is_replayed(cluster, row["id"]))

    messages = await cluster.take("inbound-resolver")
    assert [message.headers["x-replay-of"] for message in messages] == [str(row["id"])] * copies
    [letter] = await letters(cluster)

    assert (letter["status"], letter["replay_count"]) == ("replayed", 1)


async def _are_stored(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) >= count


async def _is_told(cluster: Cluster) -> bool:
    told = {event["id"] for event in cluster.told("deadletter.stored")}
    return {str(row["id"]) for row in await letters(cluster)} <= told


async def _is_replayed(cluster: Cluster, letter: UUID) -> bool:
    statement = "select status = 'replayed' from dead_letter_queue where id = $1"
    return bool(await cluster.conn.fetchval(statement, letter))
