"""Which of our bindings RabbitMQ has, as its management plugin tells; AMQP itself does not show them.

Asked only where RABBITMQ_MANAGEMENT_URL says where it answers. Nothing is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import aiohttp

from shared.amqp.topology import Topology
from shared.masking import mask_secrets, mask_url
from shared.settings.server_urls import read_server_url
from shared.settings.settings import Settings

_ANSWER_S: Final = 5.0
_NOT_ASKED: Final = "not looked at: AMQP does not show them, and RABBITMQ_MANAGEMENT_URL is not set"


@dataclass(frozen=True, slots=True)
class Bindings:
    """Those that are lost, and how it was found out. `is_seen`: whether they were seen at all."""

    lost: Sequence[str]
    told: str
    is_seen: bool


async def look_at_bindings(settings: Settings, wanted: Topology) -> Bindings:
    """Never fails: what keeps the bindings from being seen is told."""
    if settings.rabbitmq_management_url is None:
        return Bindings((), _NOT_ASKED, is_seen=False)
    url = settings.rabbitmq_management_url.get_secret_value().rstrip("/")
    host = read_server_url(settings.rabbitmq_url.get_secret_value()).path[1:] or "/"
    try:
        there = await _ask(url, host)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        why = mask_secrets(f"{type(error).__name__}: {error}")[:200].rstrip(": ")
        return Bindings((), f"not seen: {mask_url(url)}: {why}", is_seen=False)
    needed = [
        (source, queue.name, key)
        for queue in wanted.queues
        for source, key in queue.bindings
        if (source, queue.name, key) not in there
    ]
    lost = [f"queue {queue} to exchange {source} with key {key}" for source, queue, key in needed]
    return Bindings(lost, f"{len(lost)} are lost" if lost else "all are there", is_seen=True)


async def _ask(url: str, host: str) -> set[tuple[str, str, str]]:
    """Source, queue and key of every binding in a virtual host."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.get(f"{url}/api/bindings/{quote(host, safe='')}") as response,
    ):
        rows = await response.json()
    return {
        (row["source"], row["destination"], row["routing_key"])
        for row in rows
        if row["destination_type"] == "queue"
    }
