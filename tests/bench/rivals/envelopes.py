"""How the frameworks want a message written, and in which queue. Pure; imports none of them."""

import time
from typing import Any, Final
from uuid import uuid4

import orjson

from tests.bench.traffic import Post

#: Queue of each job, by its name.
CELERY_QUEUES: Final = {name: f"celery.{name}" for name in ("inbound", "statuses", "outbound")}
DRAMATIQ_QUEUES: Final = {name: f"dramatiq.{name}" for name in ("inbound", "statuses", "outbound")}


def write_celery(job: str, payload: dict[str, Any]) -> Post:
    """A task by the second version of Celery's message protocol."""
    task_id = str(uuid4())
    headers = {
        "lang": "py",
        "task": job,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "ignore_result": True,
        "origin": "bench",
    }
    body = orjson.dumps([[payload], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    properties = {"content_encoding": "utf-8", "correlation_id": task_id}
    return Post("", CELERY_QUEUES[job], body, headers, properties)


def write_dramatiq(job: str, payload: dict[str, Any]) -> Post:
    """A message as Dramatiq's JSON encoder writes it."""
    body = {
        "queue_name": DRAMATIQ_QUEUES[job],
        "actor_name": job,
        "args": [payload],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid4()),
        "message_timestamp": int(time.time() * 1000),
    }
    return Post("", DRAMATIQ_QUEUES[job], orjson.dumps(body))


#: What each framework declares a queue with; it must be there before its messages.
CELERY_ARGUMENTS: Final = {"x-queue-type": "quorum"}


def dramatiq_arguments(queue: str) -> dict[str, str]:
    """As its broker declares them."""
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.XQ"}
