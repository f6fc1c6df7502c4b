"""What a cluster at rest must not have: waiting messages, dead ones, events nobody published."""

from shared.amqp.topology import ENRICHED, SHOP_UPDATER, build_topology
from tests.support.cluster import Cluster
from tests.support.paces import FAST
from tests.support.rows import Connection
from tests.support.waiting import until

#: A stopped worker may give something back a few times, not for ever.
_RUNS = 10


async def waiting_messages(cluster: Cluster) -> dict[str, int]:
    """Messages by queue, retry tiers and dead letters too. What a worker has in hand is not counted.

    Messages go from the tiers, which stand last, to the work and from there to the dead: asked in this order,
    none slips past.
    """
    names = [queue.name for queue in reversed(build_topology(FAST).queues) if _is_asked(cluster, queue.name)]
    depths = {name: await cluster.depth(name) for name in names}
    return {name: depth for name, depth in depths.items() if depth}


def _is_asked(cluster: Cluster, queue: str) -> bool:
    """Who consumes `inbound.enriched` is outside; a shop hears of joined customers, where there is one."""
    return queue != ENRICHED and (queue != SHOP_UPDATER or SHOP_UPDATER in cluster.has_run)


async def nothing_waits(cluster: Cluster) -> bool:
    """Whether every queue is empty; while workers run, what they have in hand may come back."""
    return await waiting_messages(cluster) == {}


async def work_off(cluster: Cluster, *names: str) -> None:
    """Run these workers until nothing waits with all of them stopped.

    Only then is it certain: a worker that is stopped gives back what it had in hand and did not begin.
    """
    for _ in range(_RUNS):
        if await nothing_waits(cluster):
            return
        async with cluster.running(*names):
            await until(lambda: nothing_waits(cluster))
    raise AssertionError(f"after {_RUNS} runs there still waits {await waiting_messages(cluster)}")


async def lock_waiters(connection: Connection) -> int:
    """How many sessions of this database wait for a lock just now; also from within the one that holds it.

    `pg_stat_activity` would be frozen there; and the lock that a row's next writer waits for has no database.
    """
    return int(
        await connection.fetchval(
            """select count(distinct pid) from pg_locks where not granted and pid in (
                   select pid from pg_locks join pg_database on pg_database.oid = database
                   where datname = current_database())"""
        )
    )


async def has_in_hand(cluster: Cluster) -> bool:
    """Whether a worker waits for a lock: a queue that is empty only says that its message is under way."""
    return await lock_waiters(cluster.conn) > 0


async def count(cluster: Cluster, rows: str, *arguments: object) -> int:
    """How many rows: `rows` is what follows `from`."""
    return int(await cluster.conn.fetchval(f"select count(*) from {rows}", *arguments))


def keys_told(cluster: Cluster, event_type: str) -> list[str]:
    """The idempotency key of each publication of an event so far, in order."""
    return [
        str(item.headers["x-idempotency-key"]) for item in cluster.events if item.routing_key == event_type
    ]


async def is_all_told(cluster: Cluster) -> bool:
    """Whether every event in the outbox was published and marked."""
    return await count(cluster, "outbox_events where published_at is null") == 0
