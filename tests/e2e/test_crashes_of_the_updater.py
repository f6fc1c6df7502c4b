"""The status updater killed between any two of its steps."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.e2e.points import after, before, before_ack, commit_to_publish, publish_to_mark
from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.leftovers import count, is_all_told, keys_told, work_off
from tests.support.processes import Processes
from tests.support.tracking import BEGAN, add_outbound
from tests.support.waiting import until

_TRACKER = "shared.messaging.messages.tracker:Tracker"
_MESSAGES = 6


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before(f"{_TRACKER}.store"), id="before storing"),
        pytest.param(before(f"{_TRACKER}.apply"), id="store to apply"),
        pytest.param(after(f"{_TRACKER}._write"), id="before the commit of apply"),
        pytest.param(commit_to_publish("message.updated"), id="commit to publish"),
        pytest.param(publish_to_mark("message.updated"), id="publish to mark"),
        pytest.param(before_ack("status-updater"), id="mark to ack"),
    ],
)
async def test_each_status_is_stored_once_and_each_step_told_under_one_key(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    for number in range(_MESSAGES):
        await add_outbound(cluster.conn, wamid=f"wamid.{number}")
    await tell_all(cluster)
    await processes.crash("status-updater", point)
    async with cluster.running("status-updater", "scheduler"):
        await until(lambda: _is_read(cluster))
        await until(lambda: is_all_told(cluster))
    await work_off(cluster, "status-updater")
    rows = await cluster.conn.fetch("select status, delivered_at, read_at from message_tracking")

    assert [tuple(row) for row in rows] == [
        ("read", BEGAN + timedelta(seconds=5), BEGAN + timedelta(seconds=9))
    ] * _MESSAGES
    assert await count(cluster, "status_events where outcome in ('applied', 'late')") == 2 * _MESSAGES
    assert await count(cluster, "status_events") == 2 * _MESSAGES
    assert steps_told(cluster) == {("sent", "delivered"): _MESSAGES, ("delivered", "read"): _MESSAGES}


async def tell_all(cluster: Cluster) -> None:
    """Two statuses of each message."""
    for status, seconds in (("delivered", 5), ("read", 9)):
        for number in range(_MESSAGES):
            timestamp = str(int(BEGAN.timestamp()) + seconds)
            update = {"wamid": f"wamid.{number}", "status": status, "timestamp": timestamp}
            await cluster.publish("wa.status", "whatsapp", update)


def steps_told(cluster: Cluster) -> dict[tuple[str, str], int]:
    """Steps as a consumer that deduplicates by key sees them."""
    told = dict(
        zip(keys_told(cluster, "message.updated"), cluster.told("message.updated"), strict=True)
    ).values()
    return Counter((item["old_status"], item["new_status"]) for item in told)


async def _is_read(cluster: Cluster) -> bool:
    return await count(cluster, "message_tracking where status = 'read'") == _MESSAGES
