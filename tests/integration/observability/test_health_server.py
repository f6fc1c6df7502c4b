"""The HTTP side of a worker, asked over a real socket."""

import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from shared.errors import SettingsError
from shared.observability.health import Check, WorkerState
from shared.observability.metrics import Metrics
from shared.observability.server import HealthServer
from tests.support.waiting import until


@dataclass
class Switch:
    """A probe that a test switches off."""

    name: str
    essential: bool
    answer: Check = field(default_factory=lambda: Check("ok", latency_ms=1.5, queue_depth=3))

    async def check(self) -> Check:
        return self.answer


@dataclass
class Rig:
    url: str
    state: WorkerState
    metrics: Metrics
    database: Switch
    redis: Switch
    http: aiohttp.ClientSession

    async def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(f"{self.url}{path}") as response:
            return response.status, await response.json()

    async def until(self, path: str, code: int, **body: object) -> None:
        """Ask until this is answered: a server whose answer is bad is asked once more before that counts."""

        async def is_so() -> bool:
            answered, told = await self.ask(path)
            return answered == code and told.items() >= body.items()

        await until(is_so)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    metrics = Metrics()
    state = WorkerState("scheduler", metrics)
    state.not_ready.discard(WorkerState.STARTING)
    database, redis = Switch("database", essential=True), Switch("redis", essential=False)
    async with (
        HealthServer("127.0.0.1", 0, metrics, [database, redis], state) as server,
        aiohttp.ClientSession() as http,
    ):
        yield Rig(f"http://127.0.0.1:{server.port}", state, metrics, database, redis, http)


async def test_health_tells_every_check(rig: Rig) -> None:
    code, body = await rig.ask("/health")

    well = {"status": "ok", "latency_ms": 1.5, "queue_depth": 3, "error": None}

    assert code == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(body.pop("timestamp")))
    assert isinstance(body.pop("uptime_seconds"), float)
    assert body == {"status": "healthy", "checks": {"database": well, "redis": well}, "reasons": []}


async def test_degraded_is_200_and_unhealthy_is_503(rig: Rig) -> None:
    rig.redis.answer = Check("error", error="refused")
    await rig.until("/health", 200, status="degraded")
    _, degraded = await rig.ask("/health")
    rig.database.answer = Check("error", error="refused")
    await rig.until("/health", 503, status="unhealthy")
    _, unhealthy = await rig.ask("/health")

    assert _checks(degraded) == {"database": "ok", "redis": "error"}
    assert _checks(unhealthy) == {"database": "error", "redis": "error"}


async def test_without_its_database_a_worker_is_live_and_not_ready(rig: Rig) -> None:
    rig.database.answer = Check("error", error="refused")

    await rig.until("/health/ready", 503, status="not ready", reasons=["database check failed"])
    assert await rig.ask("/health/live") == (200, {"status": "live"})


async def test_ready_follows_the_workers_own_reasons(rig: Rig) -> None:
    rig.state.not_ready.add("draining")
    draining = await rig.ask("/health/ready")
    rig.state.not_ready.discard("draining")
    ready = await rig.ask("/health/ready")

    assert draining == (503, {"status": "not ready", "reasons": ["draining"]})
    assert ready == (200, {"status": "ready", "reasons": []})


async def test_live_fails_when_consuming_has_stalled() -> None:
    now = [0.0]
    state = WorkerState("scheduler", Metrics(), clock=lambda: now[0])
    async with (
        HealthServer("127.0.0.1", 0, Metrics(), [], state) as server,
        aiohttp.ClientSession() as http,
    ):
        now[0] = 1000.0
        async with http.get(f"http://127.0.0.1:{server.port}/health/live") as response:
            assert (response.status, await response.json()) == (503, {"status": "stalled"})


async def test_metrics_are_served_in_prometheus_text_format(rig: Rig) -> None:
    rig.metrics.messages_processed.labels("scheduler", "ack").inc()

    async with rig.http.get(f"{rig.url}/metrics") as response:
        text = await response.text()

    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'wabus_messages_processed_total{outcome="ack",worker="scheduler"} 1.0' in text


async def test_a_port_that_is_taken_is_one_plain_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HealthServer("127.0.0.1", port, Metrics(), [], WorkerState("scheduler", Metrics()))
        with pytest.raises(SettingsError) as raised:
            await server.start()
        await server.close()

    assert str(raised.value) == (
        f"METRICS_PORT: must be free on 127.0.0.1 (Address already in use; 0 picks a free one), got {port}"
    )


async def test_a_closed_server_gives_its_port_back(rig: Rig) -> None:
    server = HealthServer("127.0.0.1", 0, Metrics(), [], rig.state)
    port = await server.start()
    await server.close()

    with pytest.raises(aiohttp.ClientConnectionError):
        await rig.http.get(f"http://127.0.0.1:{port}/health")


def _checks(body: dict[str, Any]) -> dict[str, str]:
    return {name: check["status"] for name, check in body["checks"].items()}
