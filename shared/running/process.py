"""The life of a worker process, from its first line to its exit code.

Owns start-up checks, signals, draining and the supervision of every task. What a worker does is in its spec.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from shared.consuming.consumer import Consumer
from shared.consuming.settlement import Settlement
from shared.consuming.store_gate import PublishingGate, StoreGate
from shared.consuming.workbench import Workbench
from shared.durations import DURATIONS, Durations
from shared.errors import SchemaMismatch, SettingsError, StoreMisconfigured, StoreUnavailable, WabusError
from shared.observability.health import Probe, WorkerState
from shared.observability.logs import Operation, configure_logging, fields, get_logger
from shared.observability.server import HealthServer
from shared.observability.span_export import exporting_spans
from shared.postgres.database import Database
from shared.postgres.rights import check_usable
from shared.running.garbage import spare_collections
from shared.running.kit import Kit, Worker, WorkerSpec
from shared.running.probes import BrokerProbe, CircuitsProbe, DatabaseProbe, RedisProbe
from shared.running.timekeeping import Timekeeping
from shared.settings.settings import Settings
from shared.tasks import end_tasks

logger = get_logger(__name__)
DRAINING = "draining"

_VERSION = """
select case
       when to_regclass('schema_migrations') is null
       then case when exists (select from pg_class where relname = 'schema_migrations') then null else 0 end
       else (xpath('/row/v/text()', query_to_xml('select max(version) as v from schema_migrations',
                                                 false, true, '')))[1]::text::int end
"""


class WorkerProcess:
    """Runs one worker, or all of them, until told to stop."""

    def __init__(
        self,
        name: str,
        specs: Sequence[WorkerSpec],
        settings: Settings,
        schema_version: int,
        durations: Durations = DURATIONS,
        clock: Callable[[], float] = time.time,
        *,
        metrics_port: int = 0,
    ) -> None:
        """`clock`: this machine's, in seconds since 1970. `metrics_port`: unless the settings name one."""
        self._clock = clock
        self._name = name
        self._specs = specs
        self._settings = settings
        self._schema_version = schema_version
        self._durations = durations
        self._metrics_port = settings.metrics_port_or(metrics_port)
        self._stopping = asyncio.Event()

    async def run_program(self, warnings: Sequence[str] = ()) -> int:
        """Run as a program: with its log lines (`warnings` first), its spans, and signals: a first drains, a
        second exits at once.
        """
        configure_logging(self._settings, self._name)
        spare_collections()
        for line in warnings:
            logger.warning("%s", line, extra=fields(operation=Operation.STARTUP))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        async with exporting_spans(self._settings, self._name):
            return await self.run()

    async def run(self) -> int:
        """Start, work until `stop`, drain; returns the exit code."""
        kit = Kit.build(self._name, self._settings, self._durations)
        kit.state.stall_reasons.add(WorkerState.STARTING)
        workers = [(spec.name, spec.compose(kit)) for spec in self._specs]
        failures: list[BaseException] = []
        try:
            async with AsyncExitStack() as cleanup:
                await self._open(kit, workers, cleanup)
                await self._work(kit, workers)
        except* Exception as group:
            failures = _leaves(group)
        for error in failures:
            known = isinstance(error, WabusError)
            logger.critical(
                "%s", error, exc_info=None if known else error, extra=fields(operation=Operation.SHUTDOWN)
            )
        if failures:
            return 2 if all(isinstance(error, SettingsError) for error in failures) else 1
        logger.info("stopped", extra=fields(operation=Operation.SHUTDOWN))
        return 0

    def stop(self) -> None:
        """Drain and return from `run`."""
        self._stopping.set()

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            os._exit(1)
        self.stop()

    async def _open(self, kit: Kit, workers: Sequence[tuple[str, Worker]], cleanup: AsyncExitStack) -> None:
        queues = [route.queue for _, worker in workers for route in worker.routes]
        probes: list[Probe] = [
            DatabaseProbe(kit.database),
            RedisProbe(kit.redis),
            BrokerProbe(kit.broker, queues),
            CircuitsProbe(kit.database),
        ]
        cleanup.push_async_callback(kit.database.close)
        cleanup.push_async_callback(kit.redis.close)
        for _, worker in workers:
            for closer in worker.closers:
                cleanup.push_async_callback(closer)
        host = self._settings.metrics_host
        server = HealthServer(host, self._metrics_port, kit.metrics, probes, kit.state)
        await cleanup.enter_async_context(server)

    async def _work(self, kit: Kit, workers: Sequence[tuple[str, Worker]]) -> None:
        timekeeping = Timekeeping(kit.database, kit.state, self._durations, self._clock)
        async with asyncio.TaskGroup() as group:
            side_tasks = [
                group.create_task(self._start(kit, timekeeping, group), name="start"),
                group.create_task(self._stopping.wait(), name="stop"),
            ]
            try:
                await asyncio.wait(side_tasks, return_when=asyncio.FIRST_COMPLETED)
                if side_tasks[0].done() and side_tasks[0].exception() is None:
                    side_tasks.append(group.create_task(timekeeping.run(), name="timekeeping"))
                    await self._run_until_stopped(kit, workers, group, side_tasks)
            finally:
                await end_tasks([*side_tasks, *kit.broker.tasks])

    async def _start(self, kit: Kit, timekeeping: Timekeeping, group: asyncio.TaskGroup) -> None:
        """Wait for the servers, for ever if need be; refuse an unprepared one."""
        require_schema = partial(_require_schema, kit.database, self._schema_version)
        await _until_store_answers(require_schema, self._durations)
        await _until_store_answers(timekeeping.look, self._durations)
        await kit.broker.run(group)

    async def _consume(
        self, kit: Kit, workers: Sequence[tuple[str, Worker]], gate: StoreGate
    ) -> list[Consumer]:
        consumers = []
        share = sum(len(worker.routes) for _, worker in workers)
        publisher = kit.broker.publisher
        for name, worker in workers:
            settlement = Settlement(name, publisher, kit.deferrals, kit.metrics, self._durations)
            bench = Workbench(
                name, settlement, gate, publisher.health, kit.state, kit.metrics, kit.ages, self._durations
            )
            for route in worker.routes:
                prefetch = self._settings.prefetch or route.prefetch
                inlet = await kit.broker.inlet(route.queue, prefetch, share)
                consumers.append(Consumer(route, inlet, bench))
        return consumers

    async def _run_until_stopped(
        self,
        kit: Kit,
        workers: Sequence[tuple[str, Worker]],
        group: asyncio.TaskGroup,
        side_tasks: list[asyncio.Task[Any]],
    ) -> None:
        """Work and drain. What it adds to `side_tasks` goes on until the deliveries in hand are done."""
        publisher = kit.broker.publisher
        gate = StoreGate(kit.database, kit.state, self._durations)
        publishing = PublishingGate(publisher.health, publisher.check, kit.state, self._durations)
        consumers = await self._consume(kit, workers, gate)
        for consumer in consumers:
            gate.guard(consumer.standing)
            publishing.guard(consumer.standing)
        gates = (gate.run, publishing.run, publishing.watch)
        side_tasks += [group.create_task(run(), name="gate") for run in gates]
        side_tasks.append(group.create_task(self._look_at_queues(kit), name="queue ages"))
        for name, worker in workers:
            side_tasks += [group.create_task(run(), name=f"{name} {task}") for task, run in worker.tasks]
        working = [
            group.create_task(consumer.run(), name=f"consume {consumer.queue}") for consumer in consumers
        ]
        side_tasks += working
        kit.state.not_ready.discard(WorkerState.STARTING)
        kit.state.stall_reasons.discard(WorkerState.STARTING)
        logger.info("ready", extra=fields(operation=Operation.STARTUP))
        await self._stopping.wait()
        kit.state.not_ready.add(DRAINING)
        kit.state.stall_reasons.add(DRAINING)
        logger.info(DRAINING, extra=fields(operation=Operation.SHUTDOWN))
        drains = [
            group.create_task(consumer.drain(), name=f"cancel {consumer.queue}") for consumer in consumers
        ]
        await self._finish([*drains, *working])

    async def _look_at_queues(self, kit: Kit) -> None:
        """For the age of what waits in them."""
        while True:
            await kit.ages.look(kit.broker)
            await asyncio.sleep(self._durations.gauges_s)

    async def _finish(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._settings.drain_seconds)
        if late:
            logger.warning(
                "not done within DRAIN_SECONDS (%g), what is in hand will be redelivered: %s",
                self._settings.drain_seconds,
                ", ".join(sorted(task.get_name() for task in late)),
                extra=fields(operation=Operation.SHUTDOWN),
            )
        await end_tasks(tuple(late))


async def _until_store_answers(ask: Callable[[], Awaitable[None]], durations: Durations) -> None:
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        wait=wait_random_exponential(durations.store_probe_s, max=durations.store_probe_max_s),
        before_sleep=_tell_absence,
    )
    await retrying(ask)


def _tell_absence(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    what = "does not let this worker work" if isinstance(error, StoreMisconfigured) else "is away"
    logger.warning("PostgreSQL %s (%s); trying again", what, error, extra=fields(operation=Operation.STARTUP))


async def _require_schema(database: Database, expected: int) -> None:
    found: int | None = await database.fetchval(_VERSION)
    if found is None:
        raise StoreMisconfigured(
            "the login of DATABASE_URL does not find schema_migrations, which is in another schema: let it "
            "use that one (schema/roles.sql) and name it in its search_path, or run `wabus migrate`"
        )
    if found == expected:
        await check_usable(database)
        return
    if found > expected:
        advice = "it is newer than this program knows: run a newer wabus"
    else:
        advice = "run `wabus migrate` first"
    raise SchemaMismatch(
        f"the database's schema is at version {found}, this program needs {expected}: {advice}"
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
