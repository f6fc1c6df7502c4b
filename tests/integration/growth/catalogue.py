"""Every statement that runs by itself or for a message, with arguments as in a big installation.

A statement is named by its file and its name in it. `rows` and `pages` are the most that it may read: what is
under way, not what has gathered. Numbers of rows are told in `filling.sql`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.reasons import DeadReason

_PREFIX: Final = UUID("00000000-0000-7000-8000-000000000000").int
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)


def row_id(n: int) -> UUID:
    """As in `filling.sql`."""
    return UUID(int=_PREFIX + n)


@dataclass(frozen=True, slots=True)
class Measured:
    """One statement with its arguments. `most_pages`: where it matters, else ten for each row."""

    file: str
    name: str
    arguments: tuple[Any, ...]
    most_rows: int
    most_pages: int

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"


def _measured(file: str, name: str, *arguments: Any, rows: int, pages: int | None = None) -> Measured:
    return Measured(file, name, arguments, rows, 200 + 10 * rows if pages is None else pages)


def _ago(*, hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


#: Ten messages that were sent, ten that wait, ten customers, as a batch has them.
SENT: Final = [row_id(n) for n in range(100_001, 100_011)]
QUEUED: Final = [row_id(n) for n in range(190_001, 190_011)]
WAMIDS: Final = [f"wamid.{n}" for n in range(100_001, 100_011)]
CUSTOMERS: Final = [str(49151000000000 + n) for n in range(10_001, 10_011)]
NUMBERS: Final = [str(1000 + n % 10) for n in range(10_001, 10_011)]
NEW_CUSTOMERS: Final = [str(49161000000000 + n) for n in range(10)]
IDS: Final = [f"DE.{n}" for n in range(10)]
NEWEST: Final = [row_id(n) for n in range(199_991, 200_001)]
BULK: Final = [row_id(n) for n in range(199_401, 199_411)]
BULK_CUSTOMERS: Final = [str(49151000000000 + n) for n in range(199_401, 199_411)]
ONES: Final = [1] * 10
CONVERSATIONS: Final = [f"conversation {n}" for n in range(10_001, 10_011)]
LETTERS: Final = [row_id(n) for n in range(80_001, 80_011)]
DEFERRED: Final = [row_id(n) for n in range(40_001, 40_011)]
FRESH: Final = [row_id(1_000_000 + n) for n in range(10)]
NEW: Final = [f"new {n}" for n in range(10)]
PAST_RETENTION: Final = [row_id(n) for n in range(1, 2001)]
AMBIGUOUS: Final = [row_id(60 * n) for n in range(1, 201)]
RECIPIENTS: Final = list(range(120_001, 120_011))
MIB: Final = 1024 * 1024
NOTHING: Final = [None] * 10
TEXTS: Final = ["text"] * 10
JSON: Final = ["{}"] * 10
BODIES: Final = [b"{}"] * 10
PLACES: Final = list(range(1, 11))
TIMES: Final = [_LONG_AGO] * 10
MAPPINGS: Final = [row_id(n) for n in range(10_001, 10_011)]
FIRST_OF_ALL: Final = UUID(int=0)

_SCHEDULER: Final = "workers/scheduler/queries.sql"
_OUTBOX: Final = "shared/durable/outbox.sql"
_DEFERRAL: Final = "shared/durable/deferral.sql"
_AUDIT: Final = "shared/postgres/audit.sql"
_LETTERS: Final = "shared/deadletters/queries.sql"
_STORING: Final = "shared/deadletters/storing.sql"
_TRACKING: Final = "shared/messaging/messages/queries.sql"
_MESSAGES_UPKEEP: Final = "shared/messaging/messages/upkeep.sql"
_CONVERSATIONS_UPKEEP: Final = "shared/messaging/conversations/upkeep.sql"
_NUMBERS_UPKEEP: Final = "shared/messaging/numbers/upkeep.sql"
_CAMPAIGNS: Final = "shared/messaging/campaigns/queries.sql"
_BATCHER: Final = "workers/broadcast_batcher/queries.sql"
_CLAIMS: Final = "workers/outbound_sender/claiming/queries.sql"
_RESULTS: Final = "workers/outbound_sender/results/queries.sql"
_INTAKE: Final = "workers/outbound_sender/intake/queries.sql"
_BREAKER: Final = "shared/messaging/numbers/breaker.sql"
_HOLDS: Final = "shared/messaging/numbers/holds.sql"
_ASIDE: Final = "shared/durable/aside.sql"
_RESOLVER: Final = "workers/inbound_resolver/queries.sql"
_DLQ: Final = "workers/dlq_handler/queries.sql"
_DOCTOR: Final = "workers/cli/diagnosis/doctor.sql"
_RECIPIENTS: Final = "shared/messaging/campaigns/recipients.sql"
_MAPPINGS: Final = "shared/messaging/conversations/mappings.sql"
_INBOUND: Final = "shared/messaging/messages/inbound.sql"
_ATTEMPTS: Final = "shared/messaging/messages/attempts.sql"
_ADDRESSES: Final = "shared/messaging/customers/addresses.sql"
_JOINING: Final = "shared/messaging/customers/joining.sql"
_BEFORE: Final = "shared/messaging/customers/before.sql"
_RENAMING: Final = "shared/messaging/customers/renaming.sql"
_CONSENT: Final = "shared/messaging/customers/consent.sql"
_SUPPRESSIONS: Final = "shared/messaging/customers/suppressions.sql"
_FOLLOWING: Final = "shared/messaging/customers/following.sql"
_STORED_BODIES: Final = "shared/durable/stored_bodies.sql"
_AMBIGUOUS: Final = "shared/durable/ambiguous.sql"
_PACE: Final = "shared/messaging/messages/pace.sql"
_BACKLOG: Final = "shared/durable/backlog.sql"
_NUMBERS: Final = "shared/messaging/numbers/control.sql"
_UNTOLD: Final = "shared/deadletters/untold.sql"
_CARTS: Final = "shared/commerce/carts/store.sql"
_ORDERS: Final = "shared/commerce/orders/store.sql"
_CATALOGUE: Final = "shared/commerce/catalogue/store.sql"
_TURNS: Final = "shared/commerce/shops/holding.sql"
_SHOP_JOINS: Final = "shared/commerce/joining.sql"
_SHOP_PROFILE: Final = "shared/messaging/customers/shop_profile.sql"
_PLANNING: Final = "shared/commerce/notices/planning.sql"
_DECIDING: Final = "shared/commerce/notices/claiming.sql"
_MOVING: Final = "shared/commerce/notices/moving.sql"
_RETURNING: Final = "shared/commerce/notices/returning.sql"
_NOTICES_DUE: Final = "shared/commerce/notices/due.sql"
_NOTICES_UPKEEP: Final = "shared/commerce/notices/upkeep.sql"
_NOTICE_JOINS: Final = "shared/commerce/notices/following.sql"
_CREDITING: Final = "shared/commerce/notices/crediting.sql"
_DUE_CARTS: Final = "shared/commerce/carts/due.sql"
SHOPS: Final = ["default"] * 10
#: Notices that are due, that are queued, and carts that are due.
NOTICES: Final = [row_id(n) for n in range(199_901, 199_911)]
NOTICES_QUEUED: Final = [row_id(n) for n in range(198_101, 198_111)]
_TAKEN_BACK: Final = ("converted", None, None, None)
#: What a shop calls a cart, an order, a product, a customer.
SHOP_IDS: Final = [f"id {n}" for n in range(10_001, 10_011)]
_A_PROFILE: Final = ("25", None, None, "en", "Europe/Berlin", None, None, None, 0, _LONG_AGO, b"0")

#: By the clock: of the scheduler, and of whoever watches `wabus doctor` or `wabus top`.
PERIODIC: Final = (
    _measured(_CONVERSATIONS_UPKEEP, "count_active", 10_000, rows=10_002, pages=2_000),
    _measured(_LETTERS, "count_pending_dead_letters", 10_000, rows=10_002, pages=2_000),
    # What waits, by its index alone.
    _measured(_DEFERRAL, "count_deferred", rows=200_010, pages=2_000),
    _measured(_NUMBERS_UPKEEP, "read_circuits", rows=10),
    _measured(_NUMBERS_UPKEEP, "count_paused_numbers", rows=10),
    _measured(_NUMBERS_UPKEEP, "read_paused_numbers", rows=10),
    _measured(_OUTBOX, "oldest_unmarked_s", rows=1),
    # The hour in which idleness begins holds one in 24; a bitmap comes upon each twice.
    _measured(_MAPPINGS, "find_idle", _DAY, 1000, None, None, rows=18_000, pages=9_000),
    _measured(_SCHEDULER, "find_due_ambiguous", 200, 16 * MIB, rows=600),
    _measured(_SCHEDULER, "lock_messages", AMBIGUOUS, rows=200),
    _measured(_SCHEDULER, "lock_ambiguous", AMBIGUOUS, rows=1200),
    _measured(_SCHEDULER, "reached_by_statuses", rows=4000),
    _measured(_SCHEDULER, "find_skipped", 1000, rows=5000),
    _measured(_MESSAGES_UPKEEP, "find_old_messages", 90 * _DAY, 2000, rows=6000),
    _measured(_MESSAGES_UPKEEP, "prune_messages", PAST_RETENTION, rows=6000),
    _measured(_MESSAGES_UPKEEP, "prune_status_events", 30 * _DAY, 2000, rows=6000),
    _measured(_MESSAGES_UPKEEP, "prune_attempts", 30 * _DAY, 2000, rows=6000),
    # What waits or is ambiguous is passed over.
    _measured(_MESSAGES_UPKEEP, "prune_bodies", 8 * _DAY, 2000, rows=6100),
    _measured(_OUTBOX, "prune", 8 * _DAY, 2000, rows=6000),
    _measured(_LETTERS, "prune_settled", 30 * _DAY, 2000, rows=6000),
    _measured(_CARTS, "find_left", 72 * _HOUR, 500, rows=2500),
    _measured(_CARTS, "prune", 90 * _DAY, 2000, rows=6000),
    _measured(_CATALOGUE, "prune_views", 30 * _DAY, 2000, rows=6000),
    _measured(_NOTICES_UPKEEP, "prune", 90 * _DAY, 2000, rows=6000),
    _measured(_NOTICES_UPKEEP, "prune_reengagement", 365 * _DAY, 2000, rows=6000),
    _measured(_NOTICES_DUE, "count", 5000, rows=3100),
    _measured(_NOTICES_DUE, "count_pending", 10_000, rows=30_010, pages=12_000),
    _measured(_DUE_CARTS, "find_due", 500, rows=1600),
    _measured(_LETTERS, "leave_to_people", 3, 1000, rows=2000),
    _measured(_DLQ, "find_untold", 50, rows=100),
    _measured(_LETTERS, "due_by_themselves", 5 * _MINUTE, 3, 50, 16 * MIB, LETTERS, rows=1000),
    _measured(_OUTBOX, "find_destinations", rows=10),
    _measured(_OUTBOX, "claim_unmarked", 500, 15 * _SECOND, 16 * MIB, "wa.events message.updated", rows=1000),
    _measured(_TRACKING, "find_matchable", None, None, _DAY, 1000, rows=3000),
    _measured(_TRACKING, "find_matchable", None, None, 5 * _MINUTE, 1000, rows=3000, pages=20_000),
    _measured(_TRACKING, "find_matchable", str(_ago(hours=12)), 100_000, _DAY, 1000, rows=3000),
    _measured(_CAMPAIGNS, "due", rows=10),
    _measured(_CAMPAIGNS, "find_finished", rows=10),
    _measured(_CAMPAIGNS, "finish", ["giant"], rows=10),
    _measured(_DEFERRAL, "find_queues", rows=10),
    _measured(
        _DEFERRAL,
        "claim_due",
        "outbound-sender",
        ["1001"],
        [18],
        72,
        80,
        9 * _MINUTE,
        30 * _SECOND,
        2,
        _MINUTE,
        16 * MIB,
        500,
        rows=1000,
    ),
    # By the customers of whom something waits: 500, of each four, and the first is let go.
    _measured(_DEFERRAL, "release_forgotten", rows=2100, pages=25_000),
    _measured(_SCHEDULER, "read_queued", FIRST_OF_ALL, "", 0, 1000, _HOUR, rows=6000),
    _measured(_SCHEDULER, "find_forgotten", 90 * _DAY, _HOUR, 50, rows=6000),
    _measured(_SCHEDULER, "lock_forgotten", PAST_RETENTION[:50], _HOUR, rows=6000),
    _measured(_BEFORE, "find_profiles", "", 500, rows=1000),
    _measured(_BEFORE, "find_mappings", FIRST_OF_ALL, 500, rows=1000),
    _measured(_BEFORE, "find_recipients", 0, 500, rows=1000),
    _measured(_BEFORE, "remember_writers", CUSTOMERS, ["phone"] * 10, TIMES, TIMES, rows=0),
    _measured(_BEFORE, "claim_key", NEW_CUSTOMERS[0], "phone", rows=0),
    _measured(_BEFORE, "lock_customer", CUSTOMERS[0], rows=10),
    _measured(_BEFORE, "find_left", CUSTOMERS, rows=20),
    _measured(_RENAMING, "find_renames", CUSTOMERS, NEW_CUSTOMERS, rows=60),
    _measured(_RENAMING, "wait_little", rows=1),
    _measured(_RENAMING, "claim_keys", NEW_CUSTOMERS, rows=0),
    _measured(_RENAMING, "lock_keys", CUSTOMERS, rows=20),
    _measured(_RENAMING, "rename_mappings", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    _measured(_RENAMING, "rename_recipients", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    _measured(_RENAMING, "rename_profiles", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    _measured(_RENAMING, "rename_consents", CUSTOMERS, NEW_CUSTOMERS, rows=40),
    _measured(_BEFORE, "is_left", CUSTOMERS[0], rows=10),
    _measured(_BEFORE, "fill_mappings", MAPPINGS, rows=30),
    _measured(_BEFORE, "fill_recipients", RECIPIENTS, rows=30),
    _measured(_BEFORE, "count_unnamed", 10_000, rows=20_010, pages=4_000),
    _measured(_DOCTOR, "identity", 10_000, rows=20_010, pages=4_000),
    _measured(_ASIDE, "forgive", _DAY, rows=10),
    _measured(_ASIDE, "count", rows=10),
    _measured(_DOCTOR, "rows_set_aside", rows=10),
    _measured(_DOCTOR, "overdue_notices", _SECOND, 10_000, rows=2100),
    _measured(_DOCTOR, "overdue_carts", _SECOND, 10_000, rows=2100),
    _measured(_DOCTOR, "server", rows=0),
    _measured(_DOCTOR, "connections", rows=1000),
    _measured(_DOCTOR, "has_schema", rows=0),
    _measured(_DOCTOR, "schema_version", rows=10),
    _measured(_DOCTOR, "paused_numbers", rows=10),
    _measured(_DOCTOR, "open_breakers", rows=10),
    _measured(_DOCTOR, "unmarked_outbox", _MINUTE, rows=2000),
    _measured(_PACE, "read_pace", 10 * _SECOND, 8_000, rows=24_000, pages=12_000),
    # Of each of four reasons and of each number so many, by an index alone.
    _measured(_BACKLOG, "glance_at_deferred", 10_000, rows=40_100, pages=2_000),
    _measured(_LETTERS, "glance_at_pending", list(DeadReason), 10_000, rows=20_100, pages=2_000),
    _measured(_NUMBERS, "list", ["1001"], rows=100),
    _measured(
        _NUMBERS, "count_deferred_of", [str(1000 + n) for n in range(10)], 2_000, rows=20_100, pages=1_000
    ),
    # Behind whatever counts the table: where rows moved, an index alone does not do.
    _measured(_RENAMING, "rename_deferred", NUMBERS[:1], CUSTOMERS[:1], NEW_CUSTOMERS[:1], rows=500),
)

#: For a message, or for a batch of ten.
PER_MESSAGE: Final = (
    _measured(_ASIDE, "put", "outbox", "key", "text", rows=10),
    _measured(
        _AUDIT, "record", "test", "replayed", [str(letter) for letter in LETTERS], {"why": "text"}, rows=0
    ),
    _measured(_HOLDS, "campaigns_of", BULK, rows=20),
    _measured(_HOLDS, "lock_campaigns", BULK, rows=40),
    # By what is queued, which is never more than ten seconds of the rate.
    _measured(_HOLDS, "doubted_messages", BULK, rows=8000),
    _measured(_HOLDS, "find_refused", ["giant"], 5, rows=8000),
    _measured(
        _HOLDS, "read_evidence", BULK, ONES, ["132001"] * 10, ["parameter"] * 10, False, ["132001"], rows=2000
    ),
    _measured(_HOLDS, "read_evidence", SENT, ONES, ["190"] * 10, ["auth"] * 10, True, ["132001"], rows=200),
    _measured(_HOLDS, "read_templates", BULK, rows=60),
    _measured(_HOLDS, "hold_marketing", SENT, ONES, _DAY, rows=60),
    _measured(_HOLDS, "pause_numbers", SENT, ONES, TEXTS, "text", rows=60),
    _measured(_CAMPAIGNS, "pause_campaigns", BULK, TEXTS, rows=40),
    _measured(_CAMPAIGNS, "reopen_campaigns", BULK, rows=60),
    _measured(_RECIPIENTS, "requeue_recipients", BULK, True, rows=40),
    _measured(_RECIPIENTS, "return_refused", BULK, rows=80),
    _measured(_INBOUND, "keep_mended", WAMIDS, JSON, rows=30),
    _measured(_BREAKER, "find_circuits", NUMBERS, "(unknown)", rows=60),
    _measured(_INTAKE, "find_numbers", CUSTOMERS, rows=40),
    _measured(_STORED_BODIES, "defer_lost", QUEUED, "text", rows=100),
    _measured(_MAPPINGS, "expire_idle", _DAY, [row_id(n) for n in range(199_901, 199_911)], rows=40),
    _measured(_ATTEMPTS, "give_up_undecided", SENT, rows=30),
    _measured(_DEFERRAL, "remove_messages", QUEUED, rows=20),
    _measured(_LETTERS, "claim", LETTERS, _MINUTE, "test", True, rows=40),
    _measured(_LETTERS, "mark_replayed", LETTERS, TIMES, "test", "test", rows=20),
    _measured(_LETTERS, "count_on_first", LETTERS, rows=20),
    _measured(_LETTERS, "unclaim", LETTERS, TIMES, rows=20),
    _measured(_STORING, "free_settled_keys", [f"key {n}" for n in range(1, 11)], NEW, rows=20),
    _measured(
        *(
            _STORING,
            "store",
            FRESH,
            NEW,
            TEXTS,
            TEXTS,
            TEXTS,
            ["send_rejected"] * 10,
            TEXTS,
            JSON,
            BODIES,
            JSON,
        ),
        *(ONES, ONES, SENT, LETTERS, JSON),
        rows=60,
    ),
    _measured(_OUTBOX, "record", FRESH, TEXTS, TEXTS, TEXTS, JSON, TEXTS, TEXTS, TEXTS, _MINUTE, rows=0),
    _measured(_OUTBOX, "record_once", FRESH, TEXTS, TEXTS, TEXTS, JSON, TEXTS, TEXTS, TEXTS, _MINUTE, rows=0),
    _measured(_OUTBOX, "reopen", [row_id(n) for n in range(198_001, 198_011)], _MINUTE, rows=30),
    _measured(_OUTBOX, "mark", [row_id(n) for n in range(198_001, 198_011)], rows=20),
    _measured(
        *(
            _DEFERRAL,
            "store",
            TEXTS,
            TEXTS,
            TEXTS,
            BODIES,
            JSON,
            TEXTS,
            [_MINUTE] * 10,
            QUEUED,
            NUMBERS,
            CUSTOMERS,
        ),
        TEXTS,
        NOTHING,
        rows=100,
    ),
    _measured(_STORED_BODIES, "put_off", NEWEST, NOTHING, "earlier_message", rows=100),
    _measured(_DEFERRAL, "remove", DEFERRED, rows=20),
    _measured(_DEFERRAL, "unclaim", DEFERRED, rows=20),
    _measured(_DEFERRAL, "release_followers", NUMBERS, CUSTOMERS, ["reply"] * 10, rows=30),
    _measured(_DEFERRAL, "lock_earlier", QUEUED, rows=60),
    _measured(_DEFERRAL, "slow_numbers", ["1001"], [_MINUTE], rows=10),
    _measured(_AMBIGUOUS, "hasten_messages", QUEUED, rows=20),
    _measured(
        *(_TRACKING, "insert_events", TEXTS, WAMIDS, NOTHING, NOTHING, TEXTS, TIMES, NOTHING, NOTHING, SENT),
        NOTHING,
        rows=0,
    ),
    _measured(_TRACKING, "find_events", WAMIDS, TEXTS, TIMES, TEXTS, rows=20),
    _measured(_TRACKING, "find_waiting", WAMIDS, rows=40),
    _measured(_TRACKING, "match", WAMIDS, SENT, rows=40),
    _measured(_TRACKING, "match", NEW, NOTHING, rows=40),
    _measured(_TRACKING, "match_genesys", [f"genesys {n}" for n in range(100_001, 100_041, 4)], rows=40),
    _measured(_TRACKING, "lock_messages", SENT, rows=40),
    _measured(_TRACKING, "find_background", SENT, rows=60),
    _measured(_TRACKING, "find_addressing", QUEUED, rows=60),
    _measured(
        *(_TRACKING, "move_messages", QUEUED, ["sent"] * 10, NEW, TIMES, NOTHING, NOTHING, NOTHING, NOTHING),
        NOTHING,
        rows=30,
        pages=1_000,
    ),
    _measured(
        *(
            _RECIPIENTS,
            "move_recipients",
            [row_id(n) for n in range(20_001, 20_011)],
            ["read"] * 10,
            WAMIDS,
        ),
        *(NOTHING, NOTHING, TIMES, NOTHING),
        rows=60,
    ),
    _measured(_TRACKING, "end_attempts", SENT, ONES, ["failed"] * 10, *[NOTHING] * 5, rows=30),
    _measured(_TRACKING, "settle_events", RECIPIENTS, SENT, ["applied"] * 10, rows=30),
    _measured(_TRACKING, "keep_originals", RECIPIENTS, [b"{}"] * 10, ["{}"] * 10, rows=30),
    _measured(_TRACKING, "read_originals", RECIPIENTS, rows=20),
    _measured(_TRACKING, "resettle_events", RECIPIENTS, rows=30),
    _measured(_TRACKING, "forget_bodies", QUEUED, rows=30),
    _measured(_STORED_BODIES, "ask_retry", QUEUED, ONES, TEXTS, [_MINUTE] * 10, "x", rows=60),
    _measured(_CONSENT, "claim_customers", NEW_CUSTOMERS, ["phone"] * 10, rows=0),
    _measured(_CONSENT, "hold_customers", CUSTOMERS, rows=30),
    _measured(_CONSENT, "hold_recipients", SENT, rows=60),
    _measured(_CONSENT, "open_profiles", NEW_CUSTOMERS, rows=0),
    _measured(_CONSENT, "lock_profiles", CUSTOMERS, rows=30),
    _measured(_CONSENT, "keep_unproved", CUSTOMERS, rows=60),
    _measured(
        *(_CONSENT, "keep_events", CUSTOMERS, ["marketing"] * 10, [False] * 10, ["message"] * 10, TIMES),
        WAMIDS,
        rows=0,
        pages=400,
    ),
    _measured(_CONSENT, "fold", CUSTOMERS, rows=80),
    _measured(
        _CONSENT, "mark_answered", CUSTOMERS, [f"wamid.{n}" for n in range(10_001, 10_011)], _HOUR, rows=80
    ),
    _measured(_CONSENT, "move_events", CUSTOMERS, CUSTOMERS[0], rows=30),
    _measured(_CONSENT, "remove_moved", CUSTOMERS, CUSTOMERS[0], rows=30),
    _measured(_SUPPRESSIONS, "find_suppressed", CUSTOMERS, [b"hash"] * 10, rows=30),
    _measured(_RECIPIENTS, "add_recipients", "giant", NEW_CUSTOMERS, JSON, NEW_CUSTOMERS, rows=0, pages=400),
    _measured(_RECIPIENTS, "read_reachability", CUSTOMERS, "1001", _DAY, CUSTOMERS, "giant", rows=80),
    _measured(_CAMPAIGNS, "open", "new", rows=0),
    _measured(_BATCHER, "lock", "giant", rows=2),
    _measured(
        _CAMPAIGNS,
        "launch",
        "giant",
        b"",
        *["text"] * 2,
        "{}",
        "text",
        "text",
        50,
        1000,
        None,
        None,
        "running",
        None,
        None,
        None,
        rows=4,
    ),
    _measured(_CAMPAIGNS, "control", "giant", "paused", None, _LATER, "text", rows=4),
    _measured(_BATCHER, "has_recipients", "giant", rows=2),
    _measured(_RECIPIENTS, "skip_pending", "giant", "campaign_cancelled", 1000, rows=3000),
    _measured(_BATCHER, "find_attempted", "giant", rows=3000),
    _measured(_BATCHER, "lock_due", "giant", rows=2),
    _measured(_BATCHER, "lock_number", "1001", rows=0),
    _measured(_BATCHER, "count_queued", "1001", "1001", rows=1000),
    _measured(_CAMPAIGNS, "begin", "giant", rows=4),
    _measured(_BATCHER, "claim", "giant", 50, rows=100),
    _measured(_RECIPIENTS, "skip", RECIPIENTS, TEXTS, rows=30),
    _measured(_RECIPIENTS, "queue", RECIPIENTS, CUSTOMERS, rows=30),
    _measured(_CLAIMS, "lock_messages", QUEUED, rows=20),
    _measured(_CLAIMS, "read_gates", QUEUED, NOTHING, "(unknown)", NOTHING, NOTICES_QUEUED, rows=160),
    _measured(_CLAIMS, "read_gates", BULK, NOTHING, "(unknown)", BULK_CUSTOMERS, NOTHING, rows=140),
    # Who has had 4,000 messages before.
    _measured(_CLAIMS, "read_gates", [row_id(200_000)], [None], "(unknown)", [None], [None], rows=10),
    _measured(_CLAIMS, "claim", QUEUED, ONES, NOTHING, rows=60),
    _measured(_BREAKER, "ensure_circuits", NUMBERS, NUMBERS[:1], "(unknown)", rows=4000),
    _measured(_BREAKER, "lock_circuits", NUMBERS, rows=20),
    _measured(_BREAKER, "write_circuit", "1001", "open", 5, SENT, 0, _MINUTE, _MINUTE, rows=10),
    _measured(_RECIPIENTS, "return_unsent", BULK, NOTHING, ["pending"] * 10, NOTHING, rows=80),
    _measured(_TRACKING, "drop_messages", QUEUED, rows=60),
    _measured(_RESULTS, "lock_messages", QUEUED, rows=20),
    _measured(_RESULTS, "find_told", [row_id(n) for n in range(180_001, 180_011)], rows=100),
    _measured(_ATTEMPTS, "close_attempts", SENT, ONES, ["failed"] * 10, *[NOTHING] * 3, rows=30),
    _measured(_RECIPIENTS, "skip_cancelled", BULK, rows=80),
    _measured(
        *(_INTAKE, "find_known", PLACES, NEW, [f"client {n}" for n in range(100_000, 100_040, 4)], CUSTOMERS),
        rows=70,
    ),
    _measured(_INTAKE, "find_unburied", SENT, rows=60),
    _measured(_INTAKE, "find_replayed", PLACES, SENT, NEW, NEW, rows=80),
    _measured(_INTAKE, "find_conversations", CONVERSATIONS, rows=60),
    _measured(_INTAKE, "find_locked", MAPPINGS, rows=60),
    _measured(_INTAKE, "find_active", NUMBERS, CUSTOMERS, CUSTOMERS, rows=40),
    _measured(_MAPPINGS, "open_mappings", NUMBERS, *[NEW_CUSTOMERS] * 3, rows=0, pages=600),
    _measured(_FOLLOWING, "keep_customers", NEW_CUSTOMERS, ["phone"] * 10, ["answer"] * 10, TIMES, rows=0),
    _measured(_MAPPINGS, "lock_named", SENT, rows=40),
    _measured(_MAPPINGS, "name_customers", SENT, NEW_CUSTOMERS, NOTHING, NEW_CUSTOMERS, rows=60),
    _measured(
        *(
            _INTAKE,
            "track",
            FRESH,
            SENT,
            NOTHING,
            NEW,
            NEW,
            TEXTS,
            NOTHING,
            ["bulk"] * 10,
            ["giant"] * 10,
        ),
        *(BODIES, NOTHING, NOTHING, TEXTS, TEXTS, TEXTS, BODIES, JSON, [False] * 10, FRESH),
        rows=80,
    ),
    _measured(_AMBIGUOUS, "postpone", DEFERRED, _MINUTE, rows=30),
    _measured(_AMBIGUOUS, "release", DEFERRED, rows=30),
    _measured(_ATTEMPTS, "abandon_attempts", SENT, ONES, rows=30),
    _measured(_ATTEMPTS, "give_up_attempts", SENT, ONES, rows=30),
    _measured(
        *(
            _RESOLVER,
            "register",
            FRESH,
            NEW,
            NUMBERS,
            CUSTOMERS,
            NOTHING,
            NOTHING,
            NOTHING,
            TEXTS,
            NOTHING,
            TIMES,
        ),
        *(FRESH, _MINUTE, FIRST_OF_ALL, CUSTOMERS, ["phone"] * 10, NOTHING),
        rows=80,
    ),
    _measured(_RESOLVER, "find_known", WAMIDS, rows=40),
    _measured(_ADDRESSES, "customers_of", CUSTOMERS, CUSTOMERS, rows=20),
    _measured(_ADDRESSES, "addresses_of", CUSTOMERS[0], rows=2),
    _measured(_ADDRESSES, "meet_addresses", CUSTOMERS, IDS, ["bsuid"] * 10, "inbound", TIMES, 20, rows=60),
    _measured(_ADDRESSES, "claim_addresses", IDS, IDS, ["bsuid"] * 10, ["inbound"] * 10, _LONG_AGO, rows=0),
    _measured(_ADDRESSES, "find_owners", CUSTOMERS, rows=20),
    _measured(_ADDRESSES, "lock_addresses", CUSTOMERS, CUSTOMERS, rows=60),
    _measured(_ADDRESSES, "take_addresses", CUSTOMERS, CUSTOMERS[0], _LONG_AGO, "inbound", rows=30),
    _measured(_ADDRESSES, "confirm_addresses", CUSTOMERS, "inbound", _LONG_AGO, rows=30),
    _measured(_ADDRESSES, "release_addresses", CUSTOMERS, CUSTOMERS[0], _LONG_AGO, rows=30),
    _measured(_ADDRESSES, "readdress", CUSTOMERS[0], CUSTOMERS, NEW_CUSTOMERS[0], rows=6),
    _measured(_ADDRESSES, "doubt_address", CUSTOMERS[0], "stale", rows=4),
    _measured(_ADDRESSES, "find_moved", CUSTOMERS[0], _LONG_AGO, rows=2),
    _measured(_ADDRESSES, "keep_change", CUSTOMERS[0], CUSTOMERS[1], _LONG_AGO, rows=6),
    _measured(_ADDRESSES, "keep_later", CUSTOMERS, CUSTOMERS[0], rows=30),
    _measured(_ADDRESSES, "find_later", CUSTOMERS[0], NEW_CUSTOMERS, _LONG_AGO, rows=4),
    _measured(_JOINING, "lock_mappings", CUSTOMERS[:2], rows=12),
    _measured(_JOINING, "close_mappings", MAPPINGS, MAPPINGS, rows=40),
    _measured(_JOINING, "rename_mappings", MAPPINGS, CUSTOMERS[0], rows=30),
    _measured(_JOINING, "take_conversations", MAPPINGS, CONVERSATIONS, ONES, TEXTS, rows=40),
    _measured(_JOINING, "keep_aliases", MAPPINGS, CONVERSATIONS, MAPPINGS, MAPPINGS, rows=60),
    _measured(_JOINING, "drop_aliases", MAPPINGS, rows=30),
    _measured(_JOINING, "move_messages", MAPPINGS, MAPPINGS, rows=60),
    # Whatever waits for them.
    _measured(_JOINING, "move_deferred", NUMBERS[:1], CUSTOMERS[:1], NEW_CUSTOMERS[0], rows=500),
    _measured(_JOINING, "rename_recipients", CUSTOMERS, CUSTOMERS[0], rows=30),
    _measured(_JOINING, "skip_twins", CUSTOMERS[0], rows=20),
    _measured(_JOINING, "lock_profiles", CUSTOMERS, rows=30),
    _measured(_JOINING, "write_profile", NEW_CUSTOMERS[0], None, None, _LONG_AGO, rows=4),
    _measured(_JOINING, "remove_profiles", CUSTOMERS, rows=30),
    _measured(_JOINING, "move_addresses", CUSTOMERS, CUSTOMERS[0], rows=30),
    _measured(_JOINING, "find_addresses", CUSTOMERS[0], rows=2),
    _measured(_JOINING, "find_holder", NUMBERS[0], CUSTOMERS[0], CUSTOMERS[0], rows=4),
    _measured(_JOINING, "close_holder", row_id(10_001), rows=4),
    _measured(_INBOUND, "claim_publication", WAMIDS, _MINUTE, FIRST_OF_ALL, rows=30),
    _measured(_INBOUND, "extend_claim", WAMIDS, _MINUTE, FIRST_OF_ALL, rows=30),
    _measured(_INBOUND, "mark_published", WAMIDS, rows=30),
    _measured(_RESOLVER, "find_mappings", WAMIDS, CONVERSATIONS, rows=40),
    _measured(_RESOLVER, "find_mapping_of_message", "wamid.100002", rows=4),
    _measured(_RESOLVER, "lock_mapping_of_message", "wamid.100002", "earlier 1", rows=6),
    _measured(_MAPPINGS, "correlate", row_id(100_001), "new", "new", 1, rows=4),
    _measured(_MAPPINGS, "confirm_correlation", row_id(100_001), 1, rows=4),
    _measured(_MAPPINGS, "keep_alias", "new", row_id(100_001), rows=0),
    _measured(_INBOUND, "name_message", "wamid.100002", "new", rows=6),
    _measured(_RESOLVER, "find_conversation", "conversation 10001", rows=6),
    _measured(_MAPPINGS, "close_mapping", row_id(10_001), "conversation 10001", rows=4),
    _measured(_DLQ, "stored_before", NEW, rows=30),
    _measured(_DLQ, "find_messages", PLACES, SENT, [False] * 10, NEW, NEW, rows=60),
    _measured(_DLQ, "lock_messages", SENT, rows=20),
    _measured(_DLQ, "read_parents", LETTERS, rows=40),
    _measured(_UNTOLD, "keep_untold", LETTERS, LETTERS, rows=60),
    _measured(_DLQ, "find_going_back", QUEUED, rows=20),
    _measured(_UNTOLD, "claim_untold", LETTERS, rows=40),
    _measured(_DLQ, "read_messages", SENT, rows=60),
    _measured(_RECIPIENTS, "fail_recipients", ["giant"] * 10, BULK_CUSTOMERS, TEXTS, rows=40),
    _measured(
        *(
            _AMBIGUOUS,
            "reconcile",
            "text",
            "text",
            "text",
            b"{}",
            "{}",
            _MINUTE,
            row_id(190_001),
            "1001",
            "text",
            "reply",
        ),
        row_id(1),
        rows=10,
    ),
    _measured(_TURNS, "take_turns", SHOP_IDS, rows=0),
    _measured(_TURNS, "time", rows=0),
    _measured(_CARTS, "find_latest", SHOPS, SHOP_IDS, rows=40),
    _measured(_CARTS, "find_of_customers", SHOPS, CUSTOMERS, rows=40),
    _measured(_CARTS, "lock", MAPPINGS, rows=30),
    _measured(_CARTS, "read", MAPPINGS, rows=30),
    _measured(_CARTS, "write", [], rows=0),
    _measured(_ORDERS, "find", SHOPS, SHOP_IDS, rows=40),
    _measured(_ORDERS, "lock", SHOPS, SHOP_IDS, rows=40),
    _measured(_ORDERS, "find_purchases", SHOPS, SHOP_IDS, ["processing", "completed"], rows=40),
    _measured(_ORDERS, "find_ids_of", CUSTOMERS, rows=60),
    _measured(_ORDERS, "write", [], rows=0),
    _measured(_CATALOGUE, "find", SHOPS, SHOP_IDS, rows=40),
    _measured(_CATALOGUE, "write", [], rows=0),
    _measured(
        _CATALOGUE, "keep_views", SHOPS, CUSTOMERS, SHOP_IDS, TIMES, NOTHING, NOTHING, NOTHING, _DAY, rows=0
    ),
    _measured(_CATALOGUE, "move_views", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
    _measured(_CATALOGUE, "erase_views", CUSTOMERS, rows=60),
    _measured(_SHOP_JOINS, "find_shops", CUSTOMERS, rows=40),
    _measured(_JOINING, "follow_shops", CUSTOMERS, CUSTOMERS[0], rows=40),
    _measured(_SHOP_PROFILE, "find_by_shop_ids", SHOPS, SHOP_IDS, rows=40),
    _measured(_SHOP_PROFILE, "show_shop_profile", CUSTOMERS[0], "default", *_A_PROFILE, rows=6),
    _measured(_SHOP_PROFILE, "shown_hash", CUSTOMERS[0], rows=2),
    _measured(_SHOP_PROFILE, "make_profiles", CUSTOMERS, rows=30),
    _measured(_SHOP_PROFILE, "lock_profiles", CUSTOMERS, rows=30),
    _measured(_SHOP_PROFILE, "add_totals", CUSTOMERS[0], 1, 1, "EUR", rows=4),
    _measured(_DUE_CARTS, "hold", NOTICES, rows=30),
    _measured(_DUE_CARTS, "lock_due", NOTICES, rows=30),
    _measured(_DUE_CARTS, "move_on", NOTICES, TIMES, rows=40),
    _measured(_DUE_CARTS, "abandon", NOTICES, [False] * 10, rows=40),
    _measured(_DUE_CARTS, "expire", NOTICES, rows=30),
    _measured(_DUE_CARTS, "stop", NOTICES, "replied", rows=30),
    _measured(_DUE_CARTS, "mark_reminded", NOTICES, ONES, ONES, TIMES, rows=40),
    _measured(
        *(
            _PLANNING,
            "plan",
            SHOPS,
            ["cart"] * 10,
            TEXTS,
            NEW,
            ["marketing"] * 10,
            CUSTOMERS,
            NUMBERS,
            NOTHING,
        ),
        *(NOTICES, NOTHING, JSON, NOTHING, TIMES, NOTHING, NOTHING),
        rows=50,
    ),
    _measured(_PLANNING, "take_back_of_cart", *_TAKEN_BACK, NOTICES[0], rows=12),
    _measured(_PLANNING, "take_back_of_customer", *_TAKEN_BACK, "4915200199901", rows=12),
    _measured(_PLANNING, "take_back_of_order", *_TAKEN_BACK, "default", "id 199901", rows=12),
    _measured(_DECIDING, "lease", 100, 30 * _SECOND, rows=1400),
    _measured(_DECIDING, "lock_due", NOTICES, rows=30),
    _measured(_DECIDING, "read_facts", NOTICES, 30 * _DAY, rows=250),
    _measured(_DECIDING, "lock_numbers", NUMBERS, rows=0),
    # What waits for the sender: ten seconds of each number at most; here there are 1,000.
    _measured(_DECIDING, "count_queued", NUMBERS, rows=2_100),
    _measured(_DECIDING, "queue", NOTICES, NOTHING, NOTHING, JSON, rows=40),
    _measured(_DECIDING, "credit", NOTICES, rows=40),
    _measured(_DECIDING, "postpone", NOTICES, TIMES, JSON, rows=40),
    _measured(_DECIDING, "skip", NOTICES, TEXTS, JSON, rows=40),
    _measured(_MOVING, "find_carts", NOTICES_QUEUED, rows=40),
    _measured(
        *(_MOVING, "move", NOTICES_QUEUED, ONES, ["sent"] * 10, WAMIDS, TIMES, NOTHING, NOTHING, NOTHING),
        *(NOTHING, NOTHING, 3, [False] * 10),
        rows=80,
    ),
    _measured(_MOVING, "credit", NOTICES_QUEUED, TIMES, rows=40),
    _measured(_RETURNING, "return", NOTICES_QUEUED, ["pending"] * 10, NOTHING, rows=80),
    _measured(_RETURNING, "bind", NOTICES_QUEUED, QUEUED, rows=60),
    _measured(_CREDITING, "follow", "default", "id 1", 10, rows=10),
    _measured(_CREDITING, "find", "default", "4915200199901", "id 1", _LATER, 30_000 * _DAY, rows=20),
    _measured(_CREDITING, "convert", NOTICES[0], "id 1", 10, "EUR", rows=4),
    _measured(_NOTICE_JOINS, "rename", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
    _measured(_NOTICE_JOINS, "rename_reengagement", CUSTOMERS, NEW_CUSTOMERS[0], rows=60),
)
