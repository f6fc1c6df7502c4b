"""One replica of two is cut off from PostgreSQL: it says so, the other does the work, and it comes back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from deploy.demo.processes import Fleet, Program
from tests.faults.place import Place
from tests.faults.programs import make_argv
from tests.faults.replacing import SickReplica
from tests.support.cluster import Cluster
from tests.support.servers import Servers
from tests.support.waiting import until

_ROOT: Final = Path(__file__).resolve().parents[2]
_WORKER: Final = "inbound-resolver"
_HEALTHY, _SICK = f"{_WORKER}.1", f"{_WORKER}.2"


@pytest.fixture
async def place(cluster: Cluster, servers: Servers, tmp_path: Path) -> AsyncIterator[Place]:
    programs = [
        Program(name, make_argv(_WORKER, "fast"), cluster.environment(), tmp_path / name, "/health/ready")
        for name in (_HEALTHY, _SICK)
    ]
    async with Fleet.running(programs, _ROOT, lambda _: None) as fleet:
        its_own = replace(servers, rabbitmq_url=cluster.rabbitmq_url, database_url=cluster.database_url)
        yield Place(its_own, tmp_path, {}, "", fleet, pace="fast")


async def test_one_replica_of_two_has_no_postgres_and_the_other_does_its_work(
    cluster: Cluster, place: Place
) -> None:
    programs = {name: keeper.program for name, keeper in place.workers.keepers.items()}
    fault = SickReplica(_WORKER)

    try:
        await fault.strike(place)
        await until(lambda: _is_without_postgres(place, _SICK))
        for number in range(40):
            customer = f"4917000000{number:02}"
            inbound = {"wamid": f"wamid.{number}", "timestamp": 1768473000, "wa_id": customer}
            await cluster.publish("wa.inbound", customer, inbound)
        await until(lambda: len(cluster.told("inbound.enriched")) == 40)
        assert await _is_without_postgres(place, _SICK)
        assert not await _is_without_postgres(place, _HEALTHY)
    finally:
        await fault.heal(place)

    assert not await _is_without_postgres(place, _SICK)
    assert {name: keeper.program for name, keeper in place.workers.keepers.items()} == programs


async def _is_without_postgres(place: Place, name: str) -> bool:
    url = f"{place.workers.keepers[name].url}/health"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        check = (await answer.json())["checks"]["database"]
    return bool(check["status"] == "error")
