"""Servers are really killed, stopped, frozen and hung under running workers: the right alert comes, no other.

Prometheus and workers are ten times as fast as shipped: `tests.support.watched_cluster`. Objectives are left
out: their windows are hours and days. What has nothing to do with each other is broken at once.
"""

import os
import signal
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.stack import Kind
from tests.support.waiting import until
from tests.support.watched_cluster import NUMBER, Watched, watched_cluster

_TAKE_LEASE: Final = """
update leases set owner = gen_random_uuid(), expires_at = now() + interval '1 hour' where name = 'scheduler'
"""
_FREE_LEASE: Final = "update leases set expires_at = now() where name = 'scheduler'"
_PAUSE_NUMBER: Final = f"insert into business_numbers (phone_number_id, state) values ('{NUMBER}', 'paused')"
_RESUME_NUMBER: Final = "update business_numbers set state = 'active'"
#: For as long as an alert of it would need.
_NOBODY_CONSUMES: Final = 'max_over_time(rabbitmq_detailed_queue_consumers{queue="status-updater"}[7s]) == 0'


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Everything that an operator has, on servers that may be ended."""
    with watched_cluster(tmp_path_factory.mktemp("watched"), ["alerts.yml"]) as cluster:
        yield cluster


async def test_a_rabbitmq_that_is_killed_while_nobody_schedules_and_a_number_is_paused(
    watched: Watched,
) -> None:
    alerts = ("DependencyDown rabbitmq", "SchedulerAbsent", f"NumbersPaused {NUMBER}")

    async with watched.alerting(*alerts):
        await watched.execute(_TAKE_LEASE)
        await watched.execute(_PAUSE_NUMBER)
        await watched.end(Kind.RABBITMQ, signal.SIGKILL)
        try:
            await watched.prometheus.until_firing(*alerts)
        finally:
            await watched.start(Kind.RABBITMQ)
            await watched.execute(_RESUME_NUMBER)
            await watched.execute(_FREE_LEASE)


async def test_a_postgresql_that_is_stopped_while_nobody_sends_and_then_somebody_does(
    watched: Watched,
) -> None:
    async with watched.alerting("DependencyDown database"):
        await watched.end(Kind.POSTGRES, signal.SIGQUIT)
        try:
            await watched.prometheus.until_firing("DependencyDown database")
            await watched.converse(3)
            await watched.prometheus.until_holds(_NOBODY_CONSUMES)
        finally:
            await watched.start(Kind.POSTGRES)


async def test_a_cloud_api_that_answers_nothing_though_its_breaker_flaps_and_a_redis_that_is_frozen(
    watched: Watched,
) -> None:
    redis = watched.servers[Kind.REDIS].processes[-1].pid

    async with watched.alerting(f"CircuitOpen {NUMBER}", "DependencyDown redis"):
        await watched.set_api({"answer": "none"})
        try:
            await watched.converse(8)
            await _freeze_until_told(watched, redis)
            await watched.prometheus.until_firing(f"CircuitOpen {NUMBER}")
        finally:
            await watched.set_api(None)


async def _freeze_until_told(watched: Watched, redis: int) -> None:
    os.kill(redis, signal.SIGSTOP)
    try:
        await until(lambda: _fires(watched, "DependencyDown redis"))
    finally:
        os.kill(redis, signal.SIGCONT)


async def _fires(watched: Watched, alert: str) -> bool:
    return alert in await watched.prometheus.firing()
