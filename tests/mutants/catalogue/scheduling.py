"""The scheduler: leases, what is due, reconciliation, retention; and the outbox (rules 1.5, 2.4, 4.3, 8)."""

from typing import Final

from tests.mutants.mutation import Mutation

_RECONCILIATION: Final = "workers/scheduler/reconciliation.py"
_UNIT: Final = ("tests/unit/test_reconciliation.py",)
_SCHEDULER: Final = "tests/integration/test_scheduler.py"
_MEET: Final = (
    "tests/integration/test_scheduler_meetings.py::"
    "test_what_another_scheduler_has_in_its_hands_holds_up_nothing_else"
)
_SQL: Final = "workers/scheduler/queries.sql"
_OUTBOX: Final = "shared/durable/outbox.sql"
_DEFERRAL: Final = "shared/durable/deferral.sql"
_LEASE: Final = "shared/postgres/lease.py"

MUTATIONS: Final = (
    Mutation(
        "two schedulers act at once",
        _LEASE,
        "where leases.owner = excluded.owner or leases.expires_at < now()",
        "where true",
        "8 any number of replicas, one acts",
        (f"{_SCHEDULER}::test_another_replica_takes_over_a_lease_that_ran_out",),
    ),
    Mutation(
        "a lease that ran out is not taken over",
        _LEASE,
        " or leases.expires_at < now()",
        "",
        "8 a lease with expiry by the database clock",
        (f"{_SCHEDULER}::test_another_replica_takes_over_a_lease_that_ran_out",),
    ),
    Mutation(
        "a stopped scheduler keeps its lease",
        _LEASE,
        "update leases set expires_at = now() where name = $1 and owner = $2",
        "update leases set owner = owner where name = $1 and owner = $2",
        "8 another replica acts at once",
        ("tests/e2e/test_stopping.py::test_a_stopped_scheduler_gives_its_lease_back",),
    ),
    Mutation(
        "two schedulers meet at due messages",
        _DEFERRAL,
        "    for update of row skip locked\n)\n",
        "    for update of row\n)\n",
        "8 each job is safe to run twice",
        (f"{_MEET}[deferred]",),
    ),
    Mutation(
        "two schedulers meet at unmarked events",
        _OUTBOX,
        "    for update skip locked\n), left_over",
        "    for update\n), left_over",
        "8 each job is safe to run twice",
        (f"{_MEET}[unmarked]",),
    ),
    Mutation(
        "two schedulers meet at ambiguous sends",
        _SQL,
        "for update of row skip locked",
        "for update of row",
        "8 each job is safe to run twice",
        (f"{_MEET}[ambiguous]",),
    ),
    Mutation(
        "two schedulers meet at idle conversations",
        _SQL,
        "    order by id\n    for update skip locked\n))\nreturning id, wa_id",
        "    order by id\n    for update\n))\nreturning id, wa_id",
        "8 1,000 at a time, FOR UPDATE SKIP LOCKED",
        (f"{_MEET}[expiring]",),
    ),
    Mutation(
        "two schedulers meet at dead letters",
        "shared/deadletters/queries.sql",
        "    for update skip locked\n)\n",
        "    for update\n)\n",
        "7.3 two at once produce one message",
        (f"{_MEET}[replayable]",),
    ),
    Mutation(
        "two schedulers meet at finished campaigns",
        "shared/messaging/campaigns/queries.sql",
        "for no key update skip locked",
        "for no key update",
        "8 each job is safe to run twice",
        (f"{_MEET}[finished]",),
    ),
    Mutation(
        "active conversations expire",
        _SQL,
        "last_activity_at < now() - $1::interval",
        "$1::interval is not null",
        "8 expiry of idle conversations",
        (f"{_SCHEDULER}::test_of_the_hour_in_which_idling_begins_only_what_is_idle_expires",),
        count=2,
    ),
    Mutation(
        "the cache outlives an expired conversation",
        "workers/scheduler/expiry.py",
        "        await self._cache.remove_many(keys)\n",
        "",
        "1.3 removed when a mapping closes or expires",
        (f"{_SCHEDULER}::test_idle_conversations_expire_and_others_do_not",),
    ),
    Mutation(
        "what is not due is published",
        _DEFERRAL,
        "row.not_before <= now() and row.reason <> 'ambiguous'",
        "row.not_before <= now() + interval '1 day' and row.reason <> 'ambiguous'",
        "2.4 the scheduler republishes due rows",
        (f"{_SCHEDULER}::test_due_deferred_messages_go_back_to_their_queue_oldest_first",),
        count=2,
    ),
    Mutation(
        "a message deferred again is a second row",
        "schema/migrations/001_core.up.sql",
        "create unique index deferred_messages_message",
        "create index deferred_messages_message",
        "2.4 each row is kept until it is handled",
        ("tests/integration/test_deferral.py", "tests/integration/schema/test_keys.py"),
    ),
    Mutation(
        "our own word is taken for the platform's",
        _SQL,
        "where seen.source <> 'wabus'",
        "where seen.source <> ''",
        "4.3 until the updater has stored an event that came after the ambiguity",
        (f"{_SCHEDULER}::test_our_own_word_of_a_later_attempt_is_not_taken_for_the_platforms",),
    ),
    Mutation(
        "a reply is sent again and again",
        _RECONCILIATION,
        "return wanted and doubt.resends == 0",
        "return wanted",
        "4.3 lane reply is sent again once",
        _UNIT,
    ),
    Mutation(
        "every lane is sent again",
        _RECONCILIATION,
        '(doubt.on_ambiguous is None and doubt.lane == "reply")',
        "doubt.on_ambiguous is None",
        "4.3 other lanes only if the message says so",
        _UNIT,
    ),
    Mutation(
        "a reply that asks to fail is sent again",
        _RECONCILIATION,
        '(doubt.on_ambiguous is None and doubt.lane == "reply")',
        'doubt.lane == "reply"',
        "4.3 on_ambiguous decides",
        _UNIT,
    ),
    Mutation(
        "a proof that is stored is not waited for",
        _RECONCILIATION,
        "if doubt.has_news or doubt.age_s < durations.ambiguous_wait_s:",
        "if doubt.age_s < durations.ambiguous_wait_s:",
        "4.3 a status proves it was sent",
        _UNIT,
    ),
    Mutation(
        "statuses that lag are not waited for",
        _RECONCILIATION,
        "if not doubt.statuses_current and not _is_over(doubt, durations):",
        "if not doubt:",
        "4.3 longer, at most 15 min",
        _UNIT,
    ),
    Mutation(
        "an outage counts as waiting",
        _RECONCILIATION,
        "doubt.age_s >= durations.ambiguous_max_s and doubt.well_s >= durations.ambiguous_wait_s",
        "doubt.age_s >= durations.ambiguous_max_s",
        "4.3 statuses come first after an outage",
        _UNIT,
    ),
    Mutation(
        "events that nobody published are pruned",
        _OUTBOX,
        "created_at < now() - $1::interval and published_at is not null",
        "created_at < now() - $1::interval",
        "1.5 every event goes out at least once",
        ("tests/integration/test_outbox.py",),
    ),
    Mutation(
        "an unmarked event is published by each who looks",
        _OUTBOX,
        "and published_at is null and (claimed_until is null or claimed_until < now())",
        "and published_at is null",
        "1.5 a writer's own event is not published beside it",
        ("tests/integration/test_outbox.py",),
    ),
    Mutation(
        "a publication that failed is marked",
        "shared/durable/outbox.py",
        "zip(events, outcomes, strict=True) if error is None]",
        "zip(events, outcomes, strict=True)]",
        "1.5 marked once confirmed",
        (
            "tests/integration/test_broadcast_batcher.py::test_messages_that_could_not_be_published_after_the_commit_are_not_lost",
        ),
    ),
    Mutation(
        "each publication of an event has a key of its own",
        "shared/durable/outbox.py",
        "idempotency_key=str(self.id)",
        "idempotency_key=str(time_ordered_uuid())",
        "1.5 each time with the same x-idempotency-key",
        (f"{_SCHEDULER}::test_events_that_nobody_marked_are_published",),
    ),
    Mutation(
        "status events go before the platform repeats them",
        "workers/scheduler/retention.py",
        "max(floor, durations.retention_status_events_days)",
        "7",
        "8 status events and attempts 30 days, never under 8",
        (f"{_SCHEDULER}::test_what_is_past_its_retention_goes_and_the_rest_stays",),
    ),
)
