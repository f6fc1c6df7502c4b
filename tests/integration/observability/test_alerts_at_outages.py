"""Servers are really killed, stopped, frozen and hung under running workers: the right alert comes, no other.

Prometheus and workers are ten times as fast as shipped: `tests.support.watched_cluster`. Objectives are left
out: their windows are hours and days.
"""

import os
import signal
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.stack import Kind
from tests.support.watched_cluster import NUMBER, Watched, watched_cluster

_TAKE_LEASE: Final = """
update leases set owner = gen_random_uuid(), expires_at = now() + interval '1 hour' where name = 'scheduler'
"""
_FREE_LEASE: Final = "update leases set expires_at = now() where name = 'scheduler'"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Everything that an operator has, on servers that may be ended."""
    with watched_cluster(tmp_path_factory.mktemp("watched"), ["alerts.yml"]) as cluster:
        yield cluster


async def test_a_rabbitmq_that_is_killed(watched: Watched) -> None:
    async with watched.alerting("DependencyDown rabbitmq"):
        await watched.end(Kind.RABBITMQ, signal.SIGKILL)
        try:
            await watched.prometheus.until_firing("DependencyDown rabbitmq")
        finally:
            await watched.start(Kind.RABBITMQ)


async def test_a_postgresql_that_is_stopped_while_nobody_sends(watched: Watched) -> None:
    async with watched.alerting("DependencyDown database"):
        await watched.end(Kind.POSTGRES, signal.SIGINT)
        try:
            await watched.prometheus.until_firing("DependencyDown database")
        finally:
            await watched.start(Kind.POSTGRES)


async def test_a_postgresql_that_is_stopped_under_traffic(watched: Watched) -> None:
    async with watched.alerting("DependencyDown database"):
        await watched.end(Kind.POSTGRES, signal.SIGQUIT)
        try:
            await watched.converse(3)
            await watched.prometheus.until_firing("DependencyDown database")
        finally:
            await watched.start(Kind.POSTGRES)


async def test_a_redis_that_is_frozen(watched: Watched) -> None:
    redis = watched.servers[Kind.REDIS].processes[-1].pid

    async with watched.alerting("DependencyDown redis"):
        os.kill(redis, signal.SIGSTOP)
        try:
            await watched.converse(3)
            await watched.prometheus.until_firing("DependencyDown redis")
        finally:
            os.kill(redis, signal.SIGCONT)


async def test_a_lease_of_the_scheduler_that_is_lost(watched: Watched) -> None:
    async with watched.alerting("SchedulerAbsent"):
        await watched.execute(_TAKE_LEASE)
        try:
            await watched.prometheus.until_firing("SchedulerAbsent")
        finally:
            await watched.execute(_FREE_LEASE)


async def test_a_cloud_api_that_answers_nothing_though_its_breaker_flaps(watched: Watched) -> None:
    async with watched.alerting(f"CircuitOpen {NUMBER}"):
        await watched.set_api({"answer": "none"})
        try:
            await watched.converse(8)
            await watched.prometheus.until_firing(f"CircuitOpen {NUMBER}")
        finally:
            await watched.set_api(None)
