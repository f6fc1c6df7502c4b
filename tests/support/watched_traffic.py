"""Traffic of all kinds for a watched cluster, so that every metric has something to tell."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

from tests.support.watched_cluster import NUMBER, Sent, Watched
from tests.support.watched_shop import shopping

#: What no worker does to a row that is sound, and a number that nobody uses.
PAUSE: Final = "insert into business_numbers (phone_number_id, state) values ('9009', 'paused')"
SET_ASIDE: Final = "insert into rows_set_aside (job, row_key, reason) values ('retention', '1', 'a test')"
_ROUND_S: Final = 1.0
#: Endings of phones to which the Cloud API answers well, refuses each time, and closes the connection.
_WELL, _REFUSED, _CLOSED = "000", "902", "904"


@asynccontextmanager
async def traffic(watched: Watched) -> AsyncIterator[None]:
    """Second by second, until the block ends."""

    async def publish() -> None:
        for second in count():
            await watched.converse(3)
            await watched.publish(*trouble(second), *shopping(second))
            await asyncio.sleep(_ROUND_S)

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish())
        yield
        publishing.cancel()


def launch(campaign_id: str, phones: list[str], batch_size: int = 50) -> Sent:
    """A campaign to these."""
    return (
        "wa.broadcast",
        "campaign.launch",
        {
            "campaign_id": campaign_id,
            "phone_number_id": NUMBER,
            "template": {"name": "welcome", "language": "en"},
            "batch_size": batch_size,
            "batch_delay_ms": 100,
            "recipients": [{"wa_id": phone} for phone in phones],
        },
    )


def trouble(second: int) -> Iterator[Sent]:
    """What a day has beside conversations: repetitions, faults of publishers, refusals, a campaign."""
    phones = {ending: f"491710{second:03}{ending}" for ending in (_WELL, _REFUSED, _CLOSED)}
    now = int(time.time())
    inbound = {
        "wamid": f"wamid.repeated.{second}",
        "wa_id": phones[_WELL],
        "timestamp": now,
        "phone_number_id": NUMBER,
        "message_text": "a character that no text may have: \x00",
    }
    yield "wa.inbound", phones[_WELL], inbound
    yield "wa.inbound", phones[_WELL], inbound
    yield "wa.inbound", phones[_WELL], {"message_text": "nobody knows from whom"}
    for ending in (_WELL, _REFUSED, _CLOSED):
        yield "wa.outbound", f"reply.{phones[ending]}", _reply(phones[ending])
    arrived = {"genesys_message_id": f"reply to {phones[_WELL]}", "status": "delivered", "timestamp": now}
    yield "wa.status", "genesys", arrived
    yield launch(f"campaign {second}", [f"491720{second:03}{ending}" for ending in (_WELL, _REFUSED)])


def _reply(phone: str) -> dict[str, Any]:
    return {
        "wa_id": phone,
        "phone_number_id": NUMBER,
        "genesys_message_id": f"reply to {phone}",
        "message_text": "hi",
    }
