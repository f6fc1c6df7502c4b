"""What the processes of a run hold, from memory to consumers, and whether they say that they work.

Reads /proc, the servers' own lists, `/metrics` and `/health`; judges nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from shared.amqp.topology import DLQ_HANDLER, WORK_QUEUES
from tests.faults.place import Place
from tests.faults.proof import Footprint, Holding
from workers.registry import WORKER_NAMES

_PAGE: Final = 4096
_SETTLES_S: Final = 20.0
_LOOK_S: Final = 1.0
_GONE: Final = Holding(0, 0, 0, is_live=False, is_ready=False)
#: Connections to RabbitMQ that no worker owns.
_OTHERS: Final = ("fault rig", "wabus demo", "wabus-sandbox")
_CONNECTIONS: Final = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


async def look_when_settled(place: Place, is_settled: Callable[[Footprint], bool]) -> Footprint:
    """Look until it is settled, at most for a while: RabbitMQ's own lists are some seconds behind."""
    deadline = time.monotonic() + _SETTLES_S
    while True:
        found = await look_at(place)
        if is_settled(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_LOOK_S)


async def look_at(place: Place) -> Footprint:
    """Everything as it is now."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        names = [name for worker in WORKER_NAMES for name in place.replicas(worker)]
        management = place.servers.rabbitmq_management_url
        amqp = await _get(client, f"{management}/api/connections?columns=client_properties")
        return Footprint(
            processes={name: await _look_at_one(place, name, client) for name in names},
            connections={
                "rabbitmq": sum(_is_a_workers(connection) for connection in amqp),
                "postgres": await _count_postgres(place.servers.database_url),
                "redis": await _count_redis(place.servers.redis_url),
            },
            consumers=await _count_consumers(client, management, place.unserved),
        )


async def _look_at_one(place: Place, name: str, client: aiohttp.ClientSession) -> Holding:
    keeper = place.workers.keepers[name]
    if keeper.ref is None:
        return _GONE
    proc = Path(f"/proc/{keeper.ref.pid}")
    try:
        resident = int((proc / "statm").read_text().split()[1]) * _PAGE
        files = len(list((proc / "fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return _GONE
    tasks = await _count_tasks(client, f"{keeper.url}/metrics")
    is_live, is_ready = [
        await _answers(client, f"{keeper.url}{path}") for path in ("/health/live", "/health/ready")
    ]
    return Holding(resident, files, tasks, is_live, is_ready)


async def _count_tasks(client: aiohttp.ClientSession, url: str) -> int:
    """0 where it does not answer, which its health tells."""
    try:
        async with client.get(url) as answer:
            exposition = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return 0
    samples = (sample for family in text_string_to_metric_families(exposition) for sample in family.samples)
    return next(int(sample.value) for sample in samples if sample.name == "asyncio_tasks")


def _is_a_workers(connection: Mapping[str, Any]) -> bool:
    name = connection.get("client_properties", {}).get("connection_name", "")
    return name not in _OTHERS


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _get(client: aiohttp.ClientSession, url: str) -> Any:
    async with client.get(url) as answer:
        answer.raise_for_status()
        return await answer.json()


async def _count_consumers(
    client: aiohttp.ClientSession, management: str, unserved: frozenset[str]
) -> dict[str, int]:
    consumers = await _get(client, f"{management}/api/consumers")
    watched = {*WORK_QUEUES, DLQ_HANDLER} - unserved
    counts = dict.fromkeys(sorted(watched), 0)
    for consumer in consumers:
        name = consumer["queue"]["name"]
        if name in watched:
            counts[name] += 1
    return counts


async def _count_postgres(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(_CONNECTIONS))
    finally:
        await connection.close()


async def _count_redis(url: str) -> int:
    async with Redis.from_url(url) as redis:
        return len(await redis.client_list()) - 1
