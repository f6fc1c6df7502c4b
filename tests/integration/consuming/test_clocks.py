"""No decision compares two clocks: a worker whose machine has the wrong time works, and says so."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from schema.migrator import latest_version
from shared.durations import DURATIONS
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.payloads.clock import CLOCK, DatabaseClock
from shared.postgres.database import Database
from shared.running.process import WorkerProcess
from shared.running.timekeeping import Timekeeping
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.waiting import until
from workers.registry import load_worker

DAY_S: Final = 86_400.0
RIGHT: Final = time.time


@pytest.fixture(autouse=True)
def _own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's clock is as it was before; by itself it would go on as it was set."""
    monkeypatch.setattr(CLOCK, "_ahead_s", None)


def clock_off(seconds: float) -> Callable[[], float]:
    return lambda: RIGHT() + seconds


@asynccontextmanager
async def resolver_with(cluster: Cluster, clock: Callable[[], float]) -> AsyncIterator[None]:
    spec = load_worker("inbound-resolver")
    process = WorkerProcess(spec.name, [spec], cluster.settings(), latest_version(), cluster.durations, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        try:
            yield
        finally:
            process.stop()


@pytest.mark.parametrize("off_s", [-2 * DAY_S, 2 * DAY_S])
async def test_a_machine_two_days_off_judges_times_by_the_databases(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, off_s: float
) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr(time, "time", clock_off(off_s))
    async with resolver_with(cluster, clock_off(off_s)):
        await send(cluster, message(1, timestamp=now.isoformat()))
        await send(cluster, message(2, timestamp=(now + timedelta(days=1.5)).isoformat()))
        await until(lambda: _has_died(cluster))
        await until(lambda: len(enriched(cluster)) == 1)

    assert enriched(cluster)[0]["wamid"] == message(1)["wamid"]
    assert any("this machine's clock is 172800 s" in line for line in caplog.messages)


async def _has_died(cluster: Cluster) -> bool:
    return await cluster.depth("dlq-handler") == 1


async def test_a_wrong_clock_is_told_until_it_is_right(database_url: str) -> None:
    database = Database(database_url)
    state = WorkerState("test", Metrics())
    off_s = -90.0
    keeping = Timekeeping(database, state, DURATIONS, lambda: time.time() + off_s)

    await keeping.look()
    [told] = state.degraded
    assert told == "this machine's clock is 90 s behind the database's"

    off_s = 20.0
    await keeping.look()
    assert state.degraded == set()
    await database.close()


async def test_a_clock_that_is_set_is_carried_on_whatever_this_machines_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = DatabaseClock()
    clock.set(1_000_000.0)
    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert 1_000_000.0 <= clock.time() < 1_000_600.0
    assert clock.now().year == 1970
