"""Statements of the scheduler and of whoever watches `wabus doctor` or `wabus top`, but those about shops."""

from typing import Final

from shared.reasons import DeadReason
from tests.integration.growth.figures import (
    AMBIGUOUS,
    CUSTOMERS,
    DAY,
    FIRST_OF_ALL,
    HOUR,
    LETTERS,
    MAPPINGS,
    MIB,
    MINUTE,
    NEW_CUSTOMERS,
    NUMBERS,
    PAST_RETENTION,
    RECIPIENTS,
    SECOND,
    TIMES,
    ago,
    measured,
)

_SCHEDULER: Final = "workers/scheduler/queries.sql"
_OUTBOX: Final = "shared/durable/outbox.sql"
_DEFERRAL: Final = "shared/durable/deferral.sql"
_LETTERS: Final = "shared/deadletters/queries.sql"
_TRACKING: Final = "shared/messaging/messages/queries.sql"
_MESSAGES_UPKEEP: Final = "shared/messaging/messages/upkeep.sql"
_CONVERSATIONS_UPKEEP: Final = "shared/messaging/conversations/upkeep.sql"
_NUMBERS_UPKEEP: Final = "shared/messaging/numbers/upkeep.sql"
_CAMPAIGNS: Final = "shared/messaging/campaigns/queries.sql"
_ASIDE: Final = "shared/durable/aside.sql"
_DLQ: Final = "workers/dlq_handler/queries.sql"
_DOCTOR: Final = "workers/cli/diagnosis/doctor.sql"
_MAPPINGS: Final = "shared/messaging/conversations/mappings.sql"
_BEFORE: Final = "shared/messaging/customers/before.sql"
_RENAMING: Final = "shared/messaging/customers/renaming.sql"
_PACE: Final = "shared/messaging/messages/pace.sql"
_BACKLOG: Final = "shared/durable/backlog.sql"
_NUMBERS: Final = "shared/messaging/numbers/control.sql"

PERIODIC: Final = (
    measured(_CONVERSATIONS_UPKEEP, "count_active", 10_000, rows=10_002, pages=2_000),
    measured(_LETTERS, "count_pending_dead_letters", 10_000, rows=10_002, pages=2_000),
    # What waits, by its index alone.
    measured(_DEFERRAL, "count_deferred", rows=200_010, pages=2_000),
    measured(_NUMBERS_UPKEEP, "read_circuits", rows=10),
    measured(_NUMBERS_UPKEEP, "count_paused_numbers", rows=10),
    measured(_NUMBERS_UPKEEP, "read_paused_numbers", rows=10),
    measured(_OUTBOX, "oldest_unmarked_s", rows=1),
    # The hour in which idleness begins holds one in 24; a bitmap comes upon each twice.
    measured(_MAPPINGS, "find_idle", DAY, 1000, None, None, rows=18_000, pages=9_000),
    measured(_SCHEDULER, "find_due_ambiguous", 200, 16 * MIB, rows=600),
    measured(_SCHEDULER, "lock_messages", AMBIGUOUS, rows=200),
    measured(_SCHEDULER, "lock_ambiguous", AMBIGUOUS, rows=1200),
    measured(_SCHEDULER, "reached_by_statuses", rows=4000),
    measured(_SCHEDULER, "find_skipped", 1000, rows=5000),
    measured(_MESSAGES_UPKEEP, "find_old_messages", 90 * DAY, 2000, rows=6000),
    measured(_MESSAGES_UPKEEP, "prune_messages", PAST_RETENTION, rows=6000),
    measured(_MESSAGES_UPKEEP, "prune_status_events", 30 * DAY, 2000, rows=6000),
    measured(_MESSAGES_UPKEEP, "prune_attempts", 30 * DAY, 2000, rows=6000),
    # What waits or is ambiguous is passed over.
    measured(_MESSAGES_UPKEEP, "prune_bodies", 8 * DAY, 2000, rows=6100),
    measured(_OUTBOX, "prune", 8 * DAY, 2000, rows=6000),
    measured(_LETTERS, "prune_settled", 30 * DAY, 2000, rows=6000),
    measured(_LETTERS, "leave_to_people", 3, 1000, rows=2000),
    measured(_DLQ, "find_untold", 50, rows=100),
    measured(_LETTERS, "due_by_themselves", 5 * MINUTE, 3, 50, 16 * MIB, LETTERS, rows=1000),
    measured(_OUTBOX, "find_destinations", rows=10),
    measured(_OUTBOX, "claim_unmarked", 500, 15 * SECOND, 16 * MIB, "wa.events message.updated", rows=1000),
    measured(_TRACKING, "find_matchable", None, None, DAY, 1000, rows=3000),
    measured(_TRACKING, "find_matchable", None, None, 5 * MINUTE, 1000, rows=3000, pages=20_000),
    measured(_TRACKING, "find_matchable", str(ago(hours=12)), 100_000, DAY, 1000, rows=3000),
    measured(_CAMPAIGNS, "due", rows=10),
    measured(_CAMPAIGNS, "find_finished", rows=10),
    measured(_CAMPAIGNS, "finish", ["giant"], rows=10),
    measured(_DEFERRAL, "find_queues", rows=10),
    measured(
        _DEFERRAL,
        "claim_due",
        "outbound-sender",
        ["1001"],
        [18],
        72,
        80,
        9 * MINUTE,
        30 * SECOND,
        2,
        MINUTE,
        16 * MIB,
        500,
        rows=1000,
    ),
    # By the customers of whom something waits: 500, of each four, and the first is let go.
    measured(_DEFERRAL, "release_forgotten", rows=2100, pages=25_000),
    measured(_SCHEDULER, "read_queued", FIRST_OF_ALL, "", 0, 1000, HOUR, rows=6000),
    measured(_SCHEDULER, "find_forgotten", 90 * DAY, HOUR, 50, rows=6000),
    measured(_SCHEDULER, "lock_forgotten", PAST_RETENTION[:50], HOUR, rows=6000),
    measured(_BEFORE, "find_profiles", "", 500, rows=1000),
    measured(_BEFORE, "find_mappings", FIRST_OF_ALL, 500, rows=1000),
    measured(_BEFORE, "find_recipients", 0, 500, rows=1000),
    measured(_BEFORE, "remember_writers", CUSTOMERS, ["phone"] * 10, TIMES, TIMES, rows=0),
    measured(_BEFORE, "claim_key", NEW_CUSTOMERS[0], "phone", rows=0),
    measured(_BEFORE, "lock_customer", CUSTOMERS[0], rows=10),
    measured(_BEFORE, "find_left", CUSTOMERS, rows=20),
    measured(_RENAMING, "find_renames", CUSTOMERS, NEW_CUSTOMERS, rows=60),
    measured(_RENAMING, "wait_little", rows=1),
    measured(_RENAMING, "claim_keys", NEW_CUSTOMERS, rows=0),
    measured(_RENAMING, "lock_keys", CUSTOMERS, rows=20),
    measured(_RENAMING, "rename_mappings", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    measured(_RENAMING, "rename_recipients", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    measured(_RENAMING, "rename_profiles", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    measured(_RENAMING, "rename_consents", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    measured(_BEFORE, "is_left", CUSTOMERS[0], rows=10),
    measured(_BEFORE, "fill_mappings", MAPPINGS, rows=30),
    measured(_BEFORE, "fill_recipients", RECIPIENTS, rows=30),
    measured(_BEFORE, "count_unnamed", 10_000, rows=20_010, pages=4_000),
    measured(_DOCTOR, "identity", 10_000, rows=20_010, pages=4_000),
    measured(_ASIDE, "forgive", DAY, rows=10),
    measured(_ASIDE, "count", rows=10),
    measured(_DOCTOR, "rows_set_aside", rows=10),
    measured(_DOCTOR, "overdue_notices", SECOND, 10_000, rows=2100),
    measured(_DOCTOR, "overdue_carts", SECOND, 10_000, rows=2100),
    measured(_DOCTOR, "server", rows=0),
    measured(_DOCTOR, "connections", rows=1000),
    measured(_DOCTOR, "has_schema", rows=0),
    measured(_DOCTOR, "schema_version", rows=10),
    measured(_DOCTOR, "paused_numbers", rows=10),
    measured(_DOCTOR, "open_breakers", rows=10),
    measured(_DOCTOR, "unmarked_outbox", MINUTE, rows=2000),
    measured(_PACE, "read_pace", 10 * SECOND, 8_000, rows=24_000, pages=12_000),
    # Of each of four reasons and of each number so many, by an index alone.
    measured(_BACKLOG, "glance_at_deferred", 10_000, rows=40_100, pages=2_000),
    measured(_LETTERS, "glance_at_pending", list(DeadReason), 10_000, rows=20_100, pages=2_000),
    measured(_NUMBERS, "list", ["1001"], rows=100),
    measured(
        _NUMBERS, "count_deferred_of", [str(1000 + n) for n in range(10)], 2_000, rows=20_100, pages=1_000
    ),
    # Behind whatever counts the table: where rows moved, an index alone does not do.
    measured(_RENAMING, "rename_deferred", NUMBERS[:1], CUSTOMERS[:1], NEW_CUSTOMERS[:1], rows=500),
)
