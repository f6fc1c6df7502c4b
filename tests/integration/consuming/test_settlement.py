"""What is in hand is acknowledged only once what became of it is safe: a copy confirmed, a row committed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

import pytest

from shared.amqp.broker import Broker, Inlet
from shared.amqp.client import build_broker
from shared.amqp.delivery import ATTEMPT, DEFERRED_ID, Delivery
from shared.amqp.disposition import Ack, Dead, Defer, Disposition, Retry, Told
from shared.amqp.publisher_health import PublisherHealth
from shared.amqp.topology import build_topology
from shared.consuming.ages import QueueAges
from shared.consuming.handling import Handler
from shared.consuming.processing import Processing
from shared.consuming.route import ConsumerOptions, OneBatch, Route
from shared.consuming.settlement import Settlement
from shared.consuming.standing import Standing
from shared.consuming.store_gate import StoreGate
from shared.consuming.workbench import Workbench
from shared.durable.deferral import DeferralStore
from shared.durations import Durations
from shared.errors import StoreLocked, StoreUnavailable
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.reasons import DeadReason
from tests.support.brokers import CLIENT, running
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.waiting import until

_QUEUE: Final = "inbound-resolver"
_COPY_WAITS: Final = "copies for retry tiers or dead letters wait"
_DEFER: Final = Defer("rate_limit", 3600.0)
_ROW_WAITS: Final = "what became of deliveries waits to be stored"


@dataclass
class Worker:
    """A delivery in hand, and a settlement whose servers are behind proxies. The inlet's own is not."""

    settlement: Settlement
    inlet: Inlet
    delivery: Delivery
    servers: tuple[Proxy, Proxy]
    database: Database

    def begin(self, handler: Handler, durations: Durations, tasks: asyncio.TaskGroup) -> Processing:
        state, metrics = WorkerState("test", Metrics()), Metrics()
        gate, health = StoreGate(self.database, state, durations), PublisherHealth()
        ages = QueueAges(metrics.queue_oldest)
        standing = Standing(self.inlet, state, durations, lambda: None)
        standing.take([self.delivery])
        return Processing(
            Route(_QUEUE, handler, ConsumerOptions(1, 0.0, OneBatch()), 10, lambda _: None),
            self.inlet,
            Workbench("test", self.settlement, gate, health, state, metrics, ages, durations),
            standing,
            tasks,
            asyncio.Event(),
        )

    def settle(self, disposition: Disposition) -> "asyncio.Task[None]":
        return asyncio.create_task(self._settle(disposition))

    async def _settle(self, disposition: Disposition) -> None:
        late = await self.settlement.settle(self.inlet, [(self.delivery, disposition)])
        if late:
            await self.settlement.see_through(self.inlet, late)


@asynccontextmanager
async def worker(cluster: Cluster, **headers: str) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:
        rabbitmq = await stack.enter_async_context(Proxy.before(cluster.rabbitmq_url))
        postgresql = await stack.enter_async_context(Proxy.before(cluster.database_url))
        consuming = await stack.enter_async_context(broker(cluster, cluster.rabbitmq_url))
        publishing = await stack.enter_async_context(
            broker(cluster, rabbitmq.url(cluster.rabbitmq_url), publish_confirm_s=0.2)
        )
        database = Database(postgresql.url(cluster.database_url))
        stack.push_async_callback(database.close)
        await cluster.publish("wa.inbound", "491700000001", b"{}", headers)
        inlet = await consuming.inlet(_QUEUE, prefetch=10)
        taken: list[Delivery] = []
        while not taken:
            taken = await inlet.next_batch(1, 0)
        deferrals = DeferralStore(database, cluster.durations)
        settlement = Settlement("test", publishing.publisher, deferrals, Metrics(), cluster.durations)
        yield Worker(settlement, inlet, taken[0], (rabbitmq, postgresql), database)


@asynccontextmanager
async def broker(cluster: Cluster, url: str, **durations: float) -> AsyncIterator[Broker]:
    paces = replace(cluster.durations, **durations)  # type: ignore[arg-type]
    async with running(build_broker(url, "test", build_topology(paces), paces, client=CLIENT)) as connected:
        yield connected


DISPOSITIONS: Final = [
    pytest.param(Retry("reason", "error"), {}, _COPY_WAITS, id="retry"),
    pytest.param(Dead(DeadReason.INVALID_PAYLOAD, "error"), {}, _COPY_WAITS, id="dead"),
    pytest.param(Ack(), {DEFERRED_ID: str(uuid4())}, _ROW_WAITS, id="done, its row to be removed"),
]


@pytest.mark.parametrize(("disposition", "headers", "waits"), DISPOSITIONS)
async def test_what_is_not_safe_yet_is_still_in_the_queue_when_its_worker_dies(
    cluster: Cluster,
    caplog: pytest.LogCaptureFixture,
    disposition: Disposition,
    headers: dict[str, str],
    waits: str,
) -> None:
    async with worker(cluster, **headers) as dying:
        for server in dying.servers:
            server.refuse()
        settling = dying.settle(disposition)
        await until(lambda: caplog.text.count(waits) >= 2)  # it has not gone on after the first time
        assert not settling.done()
        settling.cancel()
        await asyncio.wait((settling,))
        for server in dying.servers:
            server.heal()

    await until(lambda: _is_deep(cluster, 1))


@pytest.mark.parametrize(("disposition", "headers", "waits"), DISPOSITIONS)
async def test_what_is_safe_at_last_is_in_the_queue_no_more(
    cluster: Cluster,
    caplog: pytest.LogCaptureFixture,
    disposition: Disposition,
    headers: dict[str, str],
    waits: str,
) -> None:
    async with worker(cluster, **headers) as waiting:
        for server in waiting.servers:
            server.refuse()
        settling = waiting.settle(disposition)
        await until(lambda: waits in caplog.text)
        for server in waiting.servers:
            server.heal()
        await settling

    copies = 1 if isinstance(disposition, Retry) else 0  # which comes back from its tier
    await until(lambda: _is_deep(cluster, copies))
    assert [item.headers[ATTEMPT] for item in await cluster.take(_QUEUE)] == [2] * copies
    safe = {
        "dead letters": await cluster.depth("dlq-handler"),
        "rows": await cluster.conn.fetchval("select count(*) from deferred_messages"),
    }

    assert safe == {
        "dead letters": isinstance(disposition, Dead),
        "rows": 0,
    }


async def test_a_deferral_that_cannot_be_stored_is_told_at_once_and_done_when_asked_again(
    cluster: Cluster,
) -> None:
    """Nothing is done of it yet: whoever asked decides, it is not kept in hand here."""
    async with worker(cluster) as waiting:
        _, postgresql = waiting.servers
        postgresql.refuse()
        with pytest.raises(StoreUnavailable):
            await waiting.settle(_DEFER)
        postgresql.heal()
        await waiting.settle(_DEFER)

    await until(lambda: _is_deep(cluster, 0))

    assert await cluster.conn.fetchval("select count(*) from deferred_messages") == 1


async def test_a_deferral_that_could_not_be_stored_is_still_in_the_queue(cluster: Cluster) -> None:
    async with worker(cluster) as dying:
        _, postgresql = dying.servers
        postgresql.refuse()
        with pytest.raises(StoreUnavailable):
            await dying.settle(_DEFER)

    await until(lambda: _is_deep(cluster, 1))

    assert await cluster.conn.fetchval("select count(*) from deferred_messages") == 0


class Locked:
    """A handler before whose message somebody else holds the row, for ever."""

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Told]]:
        raise StoreLocked(f"{len(batch)} rows are locked")
        yield ()


async def test_one_given_up_while_its_row_cannot_be_removed_ends_no_worker(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Its copy is confirmed, the row of its deferral stays: it is put back, as all that PostgreSQL needs."""
    cluster.durations = replace(cluster.durations, lock_patience_s=0.1, hold_when_store_away_s=0.5)
    async with worker(cluster, **{DEFERRED_ID: str(uuid4())}) as giving_up:
        _, postgresql = giving_up.servers
        postgresql.refuse()
        async with asyncio.TaskGroup() as lines:
            await giving_up.begin(Locked(), cluster.durations, lines).work_part([giving_up.delivery])
        assert _ROW_WAITS in caplog.text

    await until(lambda: _is_deep(cluster, 2))  # the copy has come back from its tier


async def _is_deep(cluster: Cluster, depth: int) -> bool:
    return await cluster.depth(_QUEUE) == depth
