"""What a cluster at rest must not have: waiting messages, dead ones, events nobody published."""

from shared.amqp.topology import ENRICHED, build_topology
from tests.support.cluster import FAST, Cluster


async def waiting_messages(cluster: Cluster) -> dict[str, int]:
    """Messages by queue, retry tiers and dead letters too; asked of workers that have stopped."""
    names = (queue.name for queue in build_topology(FAST).queues if queue.name != ENRICHED)
    depths = {name: await cluster.depth(name) for name in names}
    return {name: depth for name, depth in depths.items() if depth}


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
