"""The workers, as their servers know them: who consumes, who holds the lease, how fast rows come. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.durations import DURATIONS
from shared.messaging.overview.queues import QueueLine


class Activity(StrEnum):
    """What is known of one kind of worker."""

    #: Each of its queues is consumed, or its lease is held.
    WORKS = "works"
    #: Some of its queues are consumed, not all.
    PARTLY = "partly"
    #: Nobody consumes its queues, or its lease ran out.
    GONE = "gone"
    #: Its lease was never taken.
    NEVER_RAN = "never_ran"
    #: The server that knows is away.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One kind. `replicas`: consumers of the queue that has most, None where its kind consumes none.

    `consumers`: by queue. `gone_s`: since the lease ran out.
    """

    worker: str
    activity: Activity
    replicas: int | None
    consumers: Mapping[str, int]
    gone_s: float | None = None


def consumer_line(worker: str, queues: Sequence[str], lines: Sequence[QueueLine] | None) -> WorkerLine:
    """A kind that consumes. `lines`: None where RabbitMQ is away."""
    if lines is None:
        return WorkerLine(worker, Activity.UNKNOWN, None, {})
    consumers = {line.queue: line.consumers for line in lines if line.queue in queues}
    activity = Activity.WORKS
    if not any(consumers.values()):
        activity = Activity.GONE
    elif not all(consumers.values()):
        activity = Activity.PARTLY
    return WorkerLine(worker, activity, max(consumers.values(), default=0), consumers)


def lease_line(worker: str, lapsed_s: float | None, *, is_known: bool) -> WorkerLine:
    """The kind of which one acts, by a lease. `lapsed_s`: as `shared.postgres.lease.lapsed_s` tells."""
    if not is_known:
        return WorkerLine(worker, Activity.UNKNOWN, None, {})
    if lapsed_s is None:
        return WorkerLine(worker, Activity.NEVER_RAN, None, {})
    if lapsed_s > DURATIONS.scheduler_lease_stale_s:
        return WorkerLine(worker, Activity.GONE, None, {}, gone_s=lapsed_s)
    return WorkerLine(worker, Activity.WORKS, None, {})
