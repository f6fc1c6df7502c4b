"""Campaigns for tests: payloads, a clock that nudges as the scheduler does, and what became of recipients."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from uuid import uuid4

import orjson

from shared.messaging.campaigns import due_campaigns
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.waiting import until

BATCHER: Final = "broadcast-batcher"
BULK_QUEUE: Final = "outbound-sender.bulk"
_TICK_S = 0.02


def customer(number: int) -> str:
    return f"4917000{number:05}"


def customers(count: int) -> list[dict[str, Any]]:
    return [{"wa_id": customer(number)} for number in range(count)]


def campaign(recipients: Iterable[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """A campaign that needs no open window; fast, so that a test waits for nothing."""
    content: dict[str, Any] = {"template": {"name": "welcome", "language": "en"}}
    if "message_text" in fields:
        content = {}
    told = {"campaign_id": "spring", "phone_number_id": "1001", "batch_delay_ms": 100} | content | fields
    return told if recipients is None else told | {"recipients": list(recipients)}


async def launch(cluster: Cluster, told: dict[str, Any]) -> None:
    await cluster.publish("wa.broadcast", "campaign.launch", told)


async def control(
    cluster: Cluster, action: str, requested_at: str = "2026-01-15T10:00:00Z", **fields: Any
) -> None:
    told = {"campaign_id": "spring", "action": action, "requested_at": requested_at} | fields
    await cluster.publish("wa.broadcast", f"campaign.{action}", told)


async def nudge(cluster: Cluster, campaign_id: str = "spring") -> None:
    await cluster.publish("wa.broadcast", "campaign.batch", {"campaign_id": campaign_id})


@asynccontextmanager
async def ticking(cluster: Cluster) -> AsyncIterator[None]:
    """Nudge what is due, tick by tick, until the block ends."""
    database = Database(cluster.database_url)

    async def tick() -> None:
        while True:
            for campaign_id in await due_campaigns(database):
                await nudge(cluster, campaign_id)
            await asyncio.sleep(_TICK_S)

    clock = asyncio.create_task(tick())
    try:
        yield
    finally:
        clock.cancel()
        await asyncio.wait((clock,))
        await database.close()
    if not clock.cancelled():
        clock.result()


async def state(cluster: Cluster, campaign_id: str = "spring") -> str | None:
    found: str | None = await cluster.conn.fetchval(
        "select status from broadcast_campaigns where id = $1", campaign_id
    )
    return found


async def counts(cluster: Cluster, campaign_id: str = "spring") -> dict[str, int]:
    """Recipients by status, and by reason where skipped."""
    rows = await cluster.conn.fetch(
        "select status, skip_reason from broadcast_recipients where campaign_id = $1", campaign_id
    )
    return dict(Counter(f"skipped: {row[1]}" if row[0] == "skipped" else row[0] for row in rows))


async def queued_messages(cluster: Cluster) -> list[dict[str, Any]]:
    """Take what was queued for the sender's bulk lane."""
    return [orjson.loads(message.body) for message in await cluster.take(BULK_QUEUE)]


async def become(cluster: Cluster, old: str, new: str, limit: int | None = None) -> None:
    """Move recipients as the sender does."""
    await cluster.conn.execute(
        "update broadcast_recipients set status = $2, sent_at = case when $2 = 'sent' then now() end"
        " where id in (select id from broadcast_recipients where status = $1 order by id limit $3)",
        old,
        new,
        limit,
    )


def told_of(cluster: Cluster, campaign_id: str = "spring") -> list[dict[str, Any]]:
    return [event for event in cluster.told("campaign.updated") if event["campaign_id"] == campaign_id]


async def idle(cluster: Cluster) -> None:
    """Wait until what was published to the batcher before now has been looked at: markers come last.

    Two, one after the other: a batch beside the first one's may still be under way.
    """
    for _ in range(2):
        marker = uuid4().hex
        await control(cluster, "cancel", campaign_id=marker)
        await until(partial(is_state, cluster, "cancelled", marker))
        await until(lambda: is_depth(cluster, BATCHER, 0))


async def is_state(cluster: Cluster, expected: str, campaign_id: str = "spring") -> bool:
    return await state(cluster, campaign_id) == expected


async def is_depth(cluster: Cluster, queue: str, expected: int) -> bool:
    return await cluster.depth(queue) == expected


async def has_counts(cluster: Cluster, expected: dict[str, int], campaign_id: str = "spring") -> bool:
    return await counts(cluster, campaign_id) == expected
