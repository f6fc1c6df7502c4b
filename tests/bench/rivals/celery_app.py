"""On Celery: `celery --app tests.bench.rivals.celery_app worker`, a pool of processes.

Quorum queues, publications confirmed, acknowledged late and after a lost process too, no results kept. Events
for others than Celery's workers go out by the producers that it pools.
"""

import os
from typing import Any, Final

from celery import Celery
from celery.signals import worker_process_init
from kombu import Exchange, Queue

from shared.amqp.topology import ENRICHED, EVENTS
from tests.bench.rivals.blocking_jobs import BlockingJobs
from tests.bench.rivals.envelopes import CELERY_ARGUMENTS, CELERY_QUEUES
from tests.bench.rivals.jobs import Event

_EVENTS: Final = Exchange(EVENTS, "topic", passive=True, no_declare=True)

app = Celery("bench", broker=os.environ.get("RABBITMQ_URL"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_pool_limit=1,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_queues=[
        Queue(name, Exchange(""), routing_key=name, queue_arguments=CELERY_ARGUMENTS)
        for name in CELERY_QUEUES.values()
    ],
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=20,
    worker_hijack_root_logger=False,
)
_jobs: list[BlockingJobs] = []


@worker_process_init.connect
def open_jobs(**_: Any) -> None:
    """The clients of a process of the pool."""
    _jobs.append(BlockingJobs(threads=1))


@app.task(name="inbound")
def inbound(body: dict[str, Any]) -> None:
    """A customer's message."""
    _publish(ENRICHED, _jobs[0].inbound(body), mandatory=True)


@app.task(name="statuses")
def statuses(body: dict[str, Any]) -> None:
    """What became of a message."""
    _publish("message.updated", _jobs[0].status(body), mandatory=False)


@app.task(name="outbound")
def outbound(body: dict[str, Any]) -> None:
    """A reply."""
    _publish("outbound.sent", _jobs[0].outbound(body), mandatory=False)


def _publish(routing_key: str, event: Event, *, mandatory: bool) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            event, exchange=_EVENTS, routing_key=routing_key, delivery_mode=2, mandatory=mandatory, retry=True
        )
