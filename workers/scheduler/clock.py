"""The clock of the cluster: of many replicas the one with the lease runs every job at its pace.

Owns the lease and the loops. Each job is safe to run twice, so a lease that changes hands harms nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.errors import StoreError, StoreMisconfigured
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.lease import Lease

logger = get_logger(__name__)
#: How long a stopping replica tries to give the lease back.
_GIVE_BACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """Periodic work. `run` is called again after `every_s`, while this replica holds the lease."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]


class Clock:
    """Runs jobs while it holds the lease; `on_loss` is called when another replica takes over."""

    def __init__(
        self,
        lease: Lease,
        state: WorkerState,
        metrics: Metrics,
        *,
        renew_s: float,
        on_loss: Callable[[], None],
    ) -> None:
        self._lease = lease
        self._state = state
        self._gauge = metrics.scheduler_lease
        self._last_success = metrics.job_last_success
        self._failures = metrics.job_failures
        self._interval = metrics.job_interval
        self._renew_s = renew_s
        self._on_loss = on_loss
        self._held = asyncio.Event()
        self._refused: dict[str, str] = {}
        self._jobs: list[Job] = []

    async def keep_lease(self) -> None:
        """Take the lease, or wait for it, and extend it, for ever."""
        while True:
            await self._renew()
            self._state.progress()
            await asyncio.sleep(self._renew_s)

    async def give_back(self) -> None:
        """Let another replica act at once; to be called when `keep_lease` and the jobs have ended.

        Asked of the database always: a `keep_lease` that was cancelled may not know that it has the lease.
        """
        try:
            async with asyncio.timeout(_GIVE_BACK_S):
                await self._lease.give_back()
        except (StoreError, TimeoutError) as error:
            logger.debug("the lease runs out by itself: %s", error)

    async def run(self, job: Job) -> None:
        """Run one job for ever. What fails is logged, counted, and tried again at the next turn."""
        self._jobs.append(job)
        while True:
            await self._held.wait()
            self._judge(job.name, await _run_once(job))
            await asyncio.sleep(job.every_s)

    def _judge(self, job: str, error: Exception | None) -> None:
        """A job that the installation keeps from working makes the scheduler not ready, until it works.

        One that ends after the lease was lost says nothing of a replica that waits for it.
        """
        self._state.not_ready.discard(self._refused.pop(job, ""))
        if not self._held.is_set():
            return
        if error is None:
            self._last_success.labels(job).set_to_current_time()
        else:
            self._failures.labels(job).inc()
        if isinstance(error, StoreMisconfigured):
            self._refused[job] = f"{job}: {error}"
            self._state.not_ready.add(self._refused[job])

    def _show_jobs(self) -> None:
        """Each counts as done now: of what was before this replica knows nothing."""
        for job in self._jobs:
            self._interval.labels(job.name).set(job.every_s)
            self._last_success.labels(job.name).set_to_current_time()
            self._failures.labels(job.name)

    async def _renew(self) -> None:
        try:
            held = await self._lease.take()
        except StoreError as error:
            logger.warning(
                "the lease is out of reach: %s", error, extra=fields(operation=Operation.SCHEDULING)
            )
            held = False
        self._gauge.set(held)
        if held and not self._held.is_set():
            logger.info("this replica schedules", extra=fields(operation=Operation.SCHEDULING))
            self._show_jobs()
            self._held.set()
        elif not held and self._held.is_set():
            logger.info("this replica waits for the lease", extra=fields(operation=Operation.SCHEDULING))
            self._held.clear()
            self._state.not_ready.difference_update(self._refused.values())
            self._interval.clear()
            self._last_success.clear()
            self._on_loss()


async def _run_once(job: Job) -> Exception | None:
    try:
        await job.run()
    except StoreError as error:
        logger.warning("%s: %s", job.name, error, extra=fields(operation=Operation.SCHEDULING))
        return error
    except Exception as error:
        logger.exception("%s failed", job.name, extra=fields(operation=Operation.SCHEDULING))
        return error
    return None
