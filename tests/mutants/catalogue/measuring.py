"""Metrics and health: what is counted, and what a worker says of itself (INTERFACE 7, 8)."""

from typing import Final

from tests.mutants.mutation import Mutation

_WORK: Final = "tests/integration/observability/test_metrics_of_work.py"
_DELIVERIES: Final = f"{_WORK}::test_deliveries_conversations_and_their_cache"
_SENDS: Final = f"{_WORK}::test_sends_by_what_came_of_them"
_GAUGES: Final = f"{_WORK}::test_gauges_of_the_whole_cluster"
_STATUSES: Final = f"{_WORK}::test_status_events_by_outcome"
_LOCKS: Final = f"{_WORK}::test_locks_that_are_taken_and_locks_without_redis"
_COUNTS: Final = "INTERFACE 8 each metric counts what it says"
_AGES: Final = ("tests/unit/test_queue_ages.py",)
_HEALTH: Final = ("tests/unit/test_health.py",)
_LEASE_LOST: Final = (
    "tests/integration/scheduler/test_scheduler_meetings.py"
    "::test_a_job_that_ends_after_the_lease_was_lost_says_nothing_of_a_replica_that_waits"
)

MUTATIONS: Final = (
    Mutation(
        "dead deliveries count as done",
        "shared/consuming/settlement.py",
        'label = "dead"',
        'label = "ack"',
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "retries by their error",
        "shared/consuming/settlement.py",
        "self._metrics.retries.labels(self._worker, reason).inc()",
        "self._metrics.retries.labels(self._worker, error).inc()",
        _COUNTS,
        (f"{_WORK}::test_retries_by_reason",),
    ),
    Mutation(
        "what is in hand is never put down",
        "shared/consuming/processing.py",
        "inflight.dec(len(part))",
        "inflight.dec(0)",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "a batch counts as one delivery",
        "shared/consuming/processing.py",
        "observe(len(part))",
        "observe(1)",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "the wait in the queue is not measured",
        "shared/consuming/handling.py",
        "wait.observe(max(0.0, now - delivery.published_at - 0.5))",
        "wait.observe(0.0)",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "every message opens a conversation",
        "workers/inbound_resolver/resolver.py",
        "            if found.opened:\n",
        "            if found:\n",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "repetitions are not counted",
        "workers/inbound_resolver/resolver.py",
        "len(inbound.deliveries) - 1 + found.published",
        "int(found.published)",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "cache hits and misses are mixed up",
        "shared/messaging/conversations/cache.py",
        'self._count("get", "hit",',
        'self._count("get", "miss",',
        _COUNTS,
        (f"{_WORK}::test_repetitions_and_conversations_of_the_sender",),
    ),
    Mutation(
        "a taken lock counts as acquired",
        "shared/coordination/locks.py",
        'return "contended" if held.taken else "acquired"',
        'return "acquired"',
        _COUNTS,
        (_LOCKS,),
    ),
    Mutation(
        "sends have no error class",
        "workers/outbound_sender/calling/telling.py",
        'return "failed", error_class.value',
        'return "failed", "none"',
        _COUNTS,
        (_SENDS,),
    ),
    Mutation(
        "a request's duration is not measured",
        "workers/outbound_sender/calling/telling.py",
        "        metrics.send_duration.labels(message.lane).observe(duration_s)\n",
        "        pass\n",
        _COUNTS,
        (_SENDS,),
    ),
    Mutation(
        "waits of all lanes are one",
        "workers/outbound_sender/worker.py",
        "metrics.rate_limit_wait.labels(lane)",
        'metrics.rate_limit_wait.labels("all")',
        _COUNTS,
        (_SENDS,),
    ),
    Mutation(
        "implied steps are not counted",
        "shared/messaging/messages/tracker.py",
        ".inc(consequences.implied)",
        ".inc(0)",
        _COUNTS,
        (_STATUSES,),
    ),
    Mutation(
        "repeated statuses are not counted",
        "workers/status_updater/updater.py",
        "self._metrics.status_events.labels(StatusOutcome.DUPLICATE.value).inc(repeated)",
        "self._metrics.status_events.labels(StatusOutcome.DUPLICATE.value).inc(0)",
        _COUNTS,
        (_STATUSES,),
    ),
    Mutation(
        "dead letters are counted without their reason",
        "workers/dlq_handler/handler.py",
        "self._metrics.dlq_messages.labels(letter.reason.value).inc()",
        'self._metrics.dlq_messages.labels("unexpected_error").inc()',
        _COUNTS,
        (f"{_WORK}::test_dead_letters_by_reason",),
    ),
    Mutation(
        "closed conversations count as active",
        "shared/messaging/conversations/upkeep.sql",
        "from conversation_mappings where status = 'active' limit",
        "from conversation_mappings where status <> '' limit",
        _COUNTS,
        (_GAUGES,),
    ),
    Mutation(
        "deferred messages are one number",
        "shared/durable/deferral.sql",
        "select reason, count(*) from deferred_messages group by reason",
        "select min(reason) as reason, count(*) from deferred_messages",
        _COUNTS,
        (_GAUGES,),
    ),
    Mutation(
        "expired conversations are not counted",
        "workers/scheduler/expiry.py",
        "        self._metrics.conversations_expired.inc(len(rows))\n",
        "",
        _COUNTS,
        (_GAUGES,),
    ),
    Mutation(
        "what waits in a queue has no age",
        "shared/consuming/ages.py",
        "self._waits = messages > 0",
        "self._waits = False",
        _COUNTS,
        (f"{_WORK}::test_the_age_of_a_queue_whose_consumer_does_not_get_on",),
    ),
    Mutation(
        "a queue stays old when it is empty",
        "shared/consuming/ages.py",
        "self._waits = messages > 0",
        "self._waits = True",
        _COUNTS,
        (f"{_WORK}::test_the_age_of_a_queue_whose_consumer_does_not_get_on",),
    ),
    Mutation(
        "a copy makes the queue as old as it has waited elsewhere",
        "shared/consuming/ages.py",
        "item.published_at is not None and item.attempt == 1 and",
        "item.published_at is not None and",
        _COUNTS,
        _AGES,
    ),
    Mutation(
        "what hangs in hand has no age",
        "shared/consuming/ages.py",
        "self._begun[id(part)] = now",
        "pass",
        _COUNTS,
        _AGES,
    ),
    Mutation(
        "who only looks at a queue tells of what workers take from",
        "shared/consuming/ages.py",
        "is_taken_from = state.consumers > 0 and queue != ENRICHED",
        "is_taken_from = False",
        _COUNTS,
        _AGES,
    ),
    Mutation(
        "a message that is read arrives again",
        "shared/messaging/messages/judged.py",
        "if self.before.status in _ARRIVED or after.status",
        "if after.status",
        _COUNTS,
        (
            "tests/integration/messaging/messages/test_tracking.py"
            "::test_how_long_a_message_was_on_its_way_is_measured_once",
        ),
    ),
    Mutation(
        "a job that fails has ended well",
        "workers/scheduler/clock.py",
        "        if error is None:\n",
        "        if True:\n",
        _COUNTS,
        (
            "tests/integration/scheduler/test_scheduler_meetings.py"
            "::test_when_a_job_ended_well_and_how_often_it_failed",
        ),
    ),
    Mutation(
        "nobody reads when a certificate runs out",
        "shared/certificates.py",
        'ssl.cert_time_to_seconds(certificate["notAfter"]) if certificate else None',
        "None",
        _COUNTS,
        ("tests/security/test_tls.py::test_when_the_certificates_of_the_servers_run_out",),
    ),
    Mutation(
        "a worker that stalls is live",
        "shared/observability/health.py",
        "return bool(self.stall_reasons) or not stalled",
        "return True",
        "INTERFACE 7 live fails when consuming has stalled without a known reason",
        _HEALTH,
    ),
    Mutation(
        "progress is no metric",
        "shared/observability/health.py",
        "        self._last_progress_metric.set(time.time() - (now - min(self._last_progress.values())))\n",
        "",
        _COUNTS,
        (_DELIVERIES,),
    ),
    Mutation(
        "a replica that waits for the lease says that it has it",
        "workers/scheduler/clock.py",
        "self._gauge.set(held)",
        "self._gauge.set(1)",
        _COUNTS,
        (_LEASE_LOST,),
    ),
    Mutation(
        "a job that ends after the lease was lost makes a waiting replica not ready",
        "workers/scheduler/clock.py",
        "        if not self._held.is_set():\n            return\n        if error is None:\n",
        "        if error is None:\n",
        "INTERFACE 7 ready is what concerns this replica",
        (_LEASE_LOST,),
    ),
    Mutation(
        "an idle queue hides that another has stalled",
        "shared/observability/health.py",
        "time.time() - (now - min(self._last_progress.values()))",
        "time.time()",
        "INTERFACE 7 live fails when consuming has stalled without a known reason",
        _HEALTH,
    ),
    Mutation(
        "what is known of one queue excuses another",
        "shared/observability/health.py",
        "not self.loop_stall_reasons.get(loop)",
        "not any(self.loop_stall_reasons.values())",
        "INTERFACE 7 live fails when consuming has stalled without a known reason",
        _HEALTH,
    ),
    Mutation(
        "a server that is away is up",
        "shared/observability/server.py",
        '.set(verdict.checks[name].status == "ok")',
        ".set(True)",
        _COUNTS,
        (f"{_WORK}::test_which_servers_let_a_worker_work",),
    ),
    Mutation(
        "a Cloud API that does not answer is up",
        "workers/outbound_sender/calling/telling.py",
        ".set(health.answered)",
        ".set(True)",
        _COUNTS,
        (f"{_WORK}::test_whether_the_cloud_api_answers",),
    ),
)
