"""What every worker is composed of, built once per process and handed to its composition root.

Owns the construction of adapters from settings. It decides nothing.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from shared.amqp.broker import Broker
from shared.amqp.client import AmqpClient, build_broker
from shared.amqp.topology import build_topology
from shared.certificates import ObserveExpiry
from shared.consuming.ages import QueueAges
from shared.consuming.route import AtOnce, ConsumerOptions, Route
from shared.coordination.client import RedisClient
from shared.coordination.locks import LockManager
from shared.durable.deferral import DeferralStore
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.settings.settings import Settings

#: Its name and what runs it.
SideTask: TypeAlias = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, slots=True)
class Worker:
    """A composed worker: its queues, its side tasks (one that dies ends the process) and its end.

    `closers` run when all tasks have ended and the database is still open.
    """

    routes: Sequence[Route] = ()
    tasks: Sequence[SideTask] = ()
    closers: Sequence[Callable[[], Awaitable[None]]] = ()


@dataclass(frozen=True, slots=True)
class Kit:
    """The adapters of one process. `worker` is its name in metrics and logs."""

    worker: str
    settings: Settings
    durations: Durations
    metrics: Metrics
    state: WorkerState
    database: Database
    broker: Broker
    redis: RedisClient
    locks: LockManager
    deferrals: DeferralStore = field(init=False)
    outbox: Outbox = field(init=False)
    ages: QueueAges = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deferrals", DeferralStore(self.database, self.durations))
        object.__setattr__(self, "outbox", Outbox(self.database, self.broker.publisher, self.durations))
        object.__setattr__(self, "ages", QueueAges(self.metrics.queue_oldest))

    @classmethod
    def build(cls, worker: str, settings: Settings, durations: Durations) -> Self:
        """Build all adapters; nothing is connected yet."""
        metrics = Metrics()

        def expiry_of(dependency: str) -> ObserveExpiry:
            return lambda expires_at: metrics.certificate_expiry.labels(dependency).set(expires_at)

        redis = RedisClient(settings.url_source("REDIS_URL"), durations, expiry_of("redis"))
        return cls(
            worker=worker,
            settings=settings,
            durations=durations,
            metrics=metrics,
            state=WorkerState(worker, metrics),
            database=Database(
                settings.url_source("DATABASE_URL"),
                lock_wait_s=durations.lock_wait_s,
                observe_expiry=expiry_of("database"),
            ),
            broker=build_broker(
                settings.url_source("RABBITMQ_URL"),
                f"wabus {worker}",
                build_topology(durations, enriched_queue=settings.enriched_queue),
                durations,
                metrics.publish_confirm.observe,
                expiry_of("rabbitmq"),
                AmqpClient(settings.amqp_client),
            ),
            redis=redis,
            locks=LockManager(
                redis,
                ttl_s=settings.lock_ttl_seconds,
                retry_count=settings.lock_retry_count,
                observe_acquire=lambda outcome, seconds: metrics.lock_acquire.labels(outcome).observe(
                    seconds
                ),
                count_failures=metrics.lock_acquisition_failures.inc,
                durations=durations,
            ),
        )

    def consumer_options(self, *, batch_size: int, linger_ms: float, at_once: AtOnce) -> ConsumerOptions:
        """A worker's own measured defaults, unless the operator set others."""
        settings = self.settings
        linger = settings.batch_linger_ms if settings.batch_linger_ms is not None else linger_ms
        return ConsumerOptions(settings.batch_size or batch_size, linger / 1000, at_once)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A kind of worker: its name and its composition root."""

    name: str
    compose: Callable[[Kit], Worker]
