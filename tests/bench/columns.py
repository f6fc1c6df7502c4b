"""Who does the work: wabus on either client, the frameworks, and what does less as a measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from tests.bench.rivals.envelopes import CELERY_QUEUES, DRAMATIQ_QUEUES, write_celery, write_dramatiq
from tests.bench.traffic import Post
from tests.bench.work import EXCHANGES, QUEUES, WORKERS, Payload, Work, payloads

Write = Callable[[Work, str, Payload], Post]


def write_as_a_gateway(work: Work, routing_key: str, payload: Payload) -> Post:
    """A JSON body, nothing more."""
    return Post(EXCHANGES[work], routing_key, orjson.dumps(payload))


def gateway_posts(work: Work, count: int, first: int = 0) -> list[Post]:
    """So many messages as a gateway publishes them; see `payloads`."""
    return [write_as_a_gateway(work, *told) for told in payloads(work, count, first)]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """`command`: Python arguments of the program that does a work; `write`: how its messages are published.

    `messages`: how many of each work take it some seconds on two cores; other work it does not do.
    `queues`: what it leaves something in.
    """

    name: str
    label: str
    command: Callable[[Work], Sequence[str]]
    messages: Mapping[Work, int]
    environ: Mapping[str, str] = field(default_factory=dict)
    write: Write = write_as_a_gateway
    queues: Sequence[str] = tuple(QUEUES.values())


def _wabus(work: Work) -> Sequence[str]:
    return ("-m", "workers", "worker", WORKERS[work])


def _relay(_: Work) -> Sequence[str]:
    return ("-m", "tests.bench.alone.relay")


def _faststream(_: Work) -> Sequence[str]:
    return ("-m", "faststream", "run", "tests.bench.rivals.faststream_app:app", "--log-level", "error")


def _celery(work: Work) -> Sequence[str]:
    """The pool: as many processes as its waiting hides, more where the wait is 20 ms."""
    processes = 16 if work is Work.OUTBOUND else 6
    return (
        *("-m", "celery", "--quiet", "--app", "tests.bench.rivals.celery_app", "worker"),
        *("--concurrency", str(processes), "--queues", CELERY_QUEUES[work], "--loglevel", "error"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair"),
    )


def _dramatiq(work: Work) -> Sequence[str]:
    threads = 16 if work is Work.OUTBOUND else 8
    return (
        *("-m", "dramatiq", "tests.bench.rivals.dramatiq_app", "--processes", "2"),
        *("--threads", str(threads), "--queues", DRAMATIQ_QUEUES[work]),
    )


FRAMES: Final = Column(
    "frames",
    "wabus on frames",
    _wabus,
    {Work.INBOUND: 20_000, Work.STATUSES: 18_000, Work.OUTBOUND: 4_000},
    {"AMQP_CLIENT": "frames"},
)
PIKA: Final = Column(
    "pika",
    "wabus on aio-pika",
    _wabus,
    {Work.INBOUND: 8_000, Work.STATUSES: 7_500, Work.OUTBOUND: 3_000},
    {"AMQP_CLIENT": "pika"},
)
RELAY: Final = Column(
    "relay",
    "aio-pika relay that does nothing",
    _relay,
    {Work.INBOUND: 9_000},
    {"AMQP_CLIENT": "pika"},
)
FRAMES_RELAY: Final = Column(
    "frames_relay",
    "frames relay that does nothing",
    _relay,
    {Work.INBOUND: 20_000},
    {"AMQP_CLIENT": "frames"},
)
FASTSTREAM: Final = Column(
    "faststream",
    "FastStream",
    _faststream,
    {Work.INBOUND: 1_800, Work.STATUSES: 1_800, Work.OUTBOUND: 1_200},
)
CELERY: Final = Column(
    "celery",
    "Celery",
    _celery,
    {Work.INBOUND: 1_500, Work.STATUSES: 1_500, Work.OUTBOUND: 900},
    write=lambda work, _, payload: write_celery(work.value, payload),
    queues=tuple(CELERY_QUEUES.values()),
)
DRAMATIQ: Final = Column(
    "dramatiq",
    "Dramatiq",
    _dramatiq,
    {Work.INBOUND: 1_500, Work.STATUSES: 1_500, Work.OUTBOUND: 900},
    {"BENCH_THREADS": "16"},
    write=lambda work, _, payload: write_dramatiq(work.value, payload),
    queues=tuple(DRAMATIQ_QUEUES.values()),
)
RABBITMQ: Final = Column(
    "rabbitmq",
    "RabbitMQ alone",
    lambda _: ("-m", "tests.bench.alone.rabbitmq"),
    {Work.INBOUND: 20_000},
)
POSTGRES: Final = Column(
    "postgres",
    "PostgreSQL alone",
    lambda work: ("-m", "tests.bench.alone.postgres", work.value),
    {Work.INBOUND: 30_000, Work.STATUSES: 18_000},
)

#: All of them, wabus first.
COLUMNS: Final = (FRAMES, PIKA, RELAY, FRAMES_RELAY, FASTSTREAM, CELERY, DRAMATIQ, POSTGRES, RABBITMQ)
