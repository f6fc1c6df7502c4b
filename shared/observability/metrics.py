"""Every metric of every worker, in one typed place.

Owns names, labels, buckets and what each means. Labels are bounded: no customer, message or conversation is
ever a label. Does not serve them (`shared.observability.server`) nor decide when to count.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from shared.version import VERSION

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

#: Values of `wabus_circuit_state`.
CIRCUIT_STATES: Final[Mapping[str, int]] = {"closed": 0, "half_open": 1, "open": 2}

#: Round trips to a server beside us: 0.5 ms to 10 s.
_TRIP_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
#: Work on one message, retries by HTTP included: 1 ms to 30 s.
_WORK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30)
#: Waiting in queues and for rates: 5 ms to 10 minutes.
_WAIT_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 600)
#: From a message's sending to the customer: 1 s to a day; the platforms' times are whole seconds.
_DELIVERY_S: Final = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 86400)
#: What `lane` says in the metrics that every worker has.
_LANE: Final = "`lane` is empty where a worker has none."
_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process, in a registry of their own, so that a test may make as many as it likes."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        tasks = Gauge("asyncio_tasks", "Tasks of the event loop that asks.", registry=self.registry)
        tasks.set_function(_count_tasks)
        self._tell_of_itself()
        self._count_deliveries()
        self._count_conversations()
        self._count_customers()
        self._count_shops()
        self._count_sending()
        self._count_waiting()
        self._count_commerce()

    def expose(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def count_cache(self, operation: str, result: str, count: int) -> None:
        """Keys that the mapping cache looked up, wrote or removed."""
        self.cache_operations.labels(operation, result).inc(count)

    def _tell_of_itself(self) -> None:
        """This program, and the servers that it needs."""
        self.build_info = self._gauge("build_info", "1, with the version of this program.", "version")
        self.build_info.labels(VERSION).set(1)
        self.dependency_up = self._gauge(
            "dependency_up",
            "1 where a server lets this worker work, else 0: database, redis and rabbitmq are asked at each"
            " scrape, of cloud_api (sender) the latest request tells.",
            "dependency",
        )
        self.certificate_expiry = self._gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate runs out that a server showed at the latest connection, Unix time; nothing"
            " where it is not checked, or there is no TLS.",
            "dependency",
        )

    def _count_deliveries(self) -> None:
        """What every worker counts: its deliveries."""
        self.messages_processed = self._counter(
            "messages_processed_total",
            "Deliveries by what became of them: ack, retry, defer, dead.",
            "worker",
            "outcome",
        )
        self.message_duration = self._histogram(
            "message_duration_seconds",
            f"From a delivery's arrival to its disposition. {_LANE}",
            _WORK_S,
            "worker",
            "lane",
        )
        self.queue_wait = self._histogram(
            "queue_wait_seconds",
            f"From a message's publication to its arrival. {_LANE}",
            _WAIT_S,
            "worker",
            "lane",
        )
        self.batch_size = self._histogram("batch_size", "Deliveries worked together.", _BATCH, "worker")
        self.inflight = self._gauge("inflight", "Deliveries in hand.", "worker")
        self.duplicate_messages = self._counter(
            "duplicate_messages_total", "Deliveries of what was done already.", "worker"
        )
        self.retries = self._counter(
            "retries_total",
            "Copies sent to a retry tier; of the scheduler, lost messages that it publishes again.",
            "worker",
            "reason",
        )
        self.payload_repairs = self._counter(
            "payload_repairs_total",
            "What was mended in payloads: character (NUL and the like became U+FFFD), field (a side field"
            " of the wrong shape was dropped), blanks (a template's text held some that the platform"
            " refuses).",
            "worker",
            "kind",
        )
        self.last_progress = self._gauge(
            "last_progress_timestamp_seconds",
            "When the loop that turned longest ago did, Unix time.",
            "worker",
        )
        self.publish_confirm = self._histogram(
            "publish_confirm_seconds", "From a publish to the broker's confirmation.", _TRIP_S
        )

    def _count_conversations(self) -> None:
        """Conversations, their cache and their locks."""
        self.identity_evidence = self._counter(
            "identity_evidence_total",
            "What was told of two addresses of a person: known, new, joined, or why it was not followed.",
            "source",
            "outcome",
        )
        self.conversations_created = self._counter("conversations_created_total", "Mappings opened.")
        self.conversations_expired = self._counter(
            "conversations_expired_total", "Mappings expired by idleness."
        )
        self.active_conversations = self._gauge(
            "active_conversations",
            "Mappings that are active: counted up to 10,000, beyond that PostgreSQL's estimate.",
        )
        self.cache_operations = self._counter(
            "cache_operations_total",
            "Cache operations (get, set, remove) by result (hit, miss, ok, error).",
            "operation",
            "result",
        )
        self.mapping_resolution_duration = self._histogram(
            "mapping_resolution_duration_seconds",
            "Finding or opening mappings, a batch at a time; cache_hit is true or false.",
            _TRIP_S,
            "operation",
            "cache_hit",
        )
        self.lock_acquire = self._histogram(
            "lock_acquire_seconds",
            "Taking locks, by outcome: acquired, contended, unavailable.",
            _TRIP_S,
            "outcome",
        )
        self.lock_acquisition_failures = self._counter(
            "lock_acquisition_failures_total", "Keys that went on under database guards alone."
        )

    def _count_customers(self) -> None:
        """Who is one person with whom, and what they want."""
        self.identity_unnamed = self._gauge(
            "identity_unnamed_rows",
            "Rows of before whose customer is still to be read, by table: counted up to 10,000, beyond that"
            " PostgreSQL's estimate.",
            "table",
        )
        self.consent_changes = self._counter(
            "consent_changes_total",
            "Customers who want something from now on, or no longer: marketing or notifications, yes or no,"
            " by who told.",
            "kind",
            "value",
            "source",
        )

    def _count_shops(self) -> None:
        """What shops say."""
        self.facts = self._counter(
            "facts_total",
            "Facts of shops by kind (cart, order, product, customer, view) and outcome (applied, late,"
            " duplicate, unreachable).",
            "kind",
            "outcome",
        )
        self.carts = self._counter(
            "carts_total",
            "Carts by what became of them: opened, abandoned, recovered, converted, expired.",
            "outcome",
        )

    def _count_sending(self) -> None:
        """Statuses, and requests to the Cloud API."""
        self.status_events = self._counter(
            "status_events_total",
            "Status events: applied, implied, duplicate, late, rejected, unmatched, ignored.",
            "outcome",
        )
        self.delivery = self._histogram(
            "delivery_seconds",
            "From a message's `sent` to its `delivered`, or `read` without one, by the platforms' times; once"
            " for each message that arrives.",
            _DELIVERY_S,
            "lane",
        )
        self.sends = self._counter(
            "sends_total",
            "Requests to the Cloud API by outcome, and the class of their error or none.",
            "outcome",
            "error_class",
            "lane",
        )
        self.send_duration = self._histogram(
            "send_duration_seconds", "A request to the Cloud API.", _WORK_S, "lane"
        )
        self.rate_limit_wait = self._histogram(
            "rate_limit_wait_seconds", "Waiting for a number's shared rate.", _WAIT_S, "lane"
        )
        self.circuit_state = self._gauge("circuit_state", "0 closed, 1 half open, 2 open.", "phone_number_id")
        self.number_paused = self._gauge("number_paused", "Business numbers that are paused.")
        self.number_paused_since = self._gauge(
            "number_paused_since_timestamp_seconds",
            "Since when a business number is paused, Unix time: of a hundred numbers at most.",
            "phone_number_id",
        )

    def _count_waiting(self) -> None:
        """What waits, and what died."""
        self.deferred_messages = self._gauge("deferred_messages", "Messages stored until later.", "reason")
        self.dlq_messages = self._counter("dlq_messages_total", "Dead letters stored.", "reason")
        self.dlq_pending = self._gauge(
            "dlq_pending",
            "Dead letters that wait for a person: counted up to 10,000, beyond that PostgreSQL's estimate.",
        )
        self.rows_set_aside = self._gauge(
            "rows_set_aside", "Rows that a job of the scheduler cannot work and leaves alone.", "job"
        )
        self.job_interval = self._gauge(
            "job_interval_seconds", "Pause of the scheduler between two runs of a job.", "name"
        )
        self.job_last_success = self._gauge(
            "job_last_success_timestamp_seconds",
            "When a job of the scheduler last ended well, Unix time; before that, since when this replica"
            " holds the lease.",
            "name",
        )
        self.job_failures = self._counter(
            "job_failures_total", "Runs of the scheduler's jobs that failed as a whole.", "name"
        )
        self.scheduler_lease = self._gauge("scheduler_lease", "1 where this replica schedules, else 0.")
        self.queue_depth = self._gauge("queue_depth", "Messages ready in a queue.", "queue")
        self.queue_oldest = self._gauge(
            "queue_oldest_seconds",
            "For how long the oldest message may have waited in a queue, or been in hand: as far as this"
            " process knows, so that of several processes the smallest counts.",
            "queue",
        )
        self.outbox_oldest = self._gauge("outbox_oldest_seconds", "Age of the oldest unmarked publication.")

    def _count_commerce(self) -> None:
        """Automatic messages."""
        self.notices = self._counter(
            "notices_total",
            "Decisions over automatic messages, by kind (order, cart, reengagement, request) and outcome:"
            " queued, postponed, skipped.",
            "kind",
            "outcome",
        )
        self.notices_pending = self._gauge(
            "notices_pending",
            "Automatic messages that are still to be decided, by kind: counted up to 10,000.",
            "kind",
        )
        self.notice_lateness = self._histogram(
            "notice_lateness_seconds",
            "From the time at which an automatic message is due to its decision.",
            _WAIT_S,
            "kind",
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"wabus_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"wabus_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"wabus_{name}", text, labels, buckets=buckets, registry=self.registry)


def _count_tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # read outside a loop
        return 0


def replace_values(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Sets a gauge of one label to exactly `values`; a label that is not among them disappears."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)


def count_repairs(metrics: Metrics, worker: str, characters: int, fields: int, blanks: int = 0) -> None:
    """Counts what was mended in payloads; nothing where nothing was."""
    if characters:
        metrics.payload_repairs.labels(worker, "character").inc(characters)
    if fields:
        metrics.payload_repairs.labels(worker, "field").inc(fields)
    if blanks:
        metrics.payload_repairs.labels(worker, "blanks").inc(blanks)
