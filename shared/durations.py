"""Every duration, count and size that a rule fixes, as one frozen value.

Owns the numbers and their units; not the settings an operator may change (`shared.settings`: lock TTL and
retries, conversation TTL, expiry interval, batch size, drain) and not the limits of a payload's fields
(`shared.payloads`). It is passed at composition, so a test passes `dataclasses.replace(DURATIONS, …)`;
nothing reads it from the environment.
"""

from dataclasses import dataclass
from typing import Final

#: Names of the delay tiers, one queue each (`<queue>.retry.<name>`). They stay whatever the delays are.
RETRY_TIER_NAMES: Final[tuple[str, ...]] = ("5s", "30s", "2m", "10m")


@dataclass(frozen=True, slots=True)
class Durations:
    """A name ends in its unit: `_s` seconds, `_h` hours, `_days`, `_bytes`; others are counts and shares."""

    # Locks and caches (Redis).
    #: Waits between the tries to lock the taken keys of a batch; after the last try they go on unlocked.
    lock_waits_s: tuple[float, ...] = (0.1, 0.2, 0.4)
    #: Life of a cached mapping.
    cache_ttl_s: float = 24 * 3600.0

    #: Longest time that one call to Redis may take (connecting and waiting for a connection included); a
    #: Redis that fails is away until a probe succeeds, at most one in each interval.
    redis_call_s: float = 0.25
    redis_probe_s: float = 1.0

    # Every delivery.
    #: Delay of each retry tier, in the order of `RETRY_TIER_NAMES`.
    retry_tier_s: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)
    #: Counted attempts of a message before it is dead, where a rule names no other number.
    retry_attempts: int = 4
    #: What must wait longer than this is deferred (stored and acknowledged), not held in hand.
    held_in_hand_s: float = 2.0
    #: Largest body of a delivery; a larger one is dead as `invalid_payload`.
    body_bytes: int = 1024 * 1024
    #: Bodies in flight in one process, in equal parts for the queues that it consumes.
    inflight_bytes: int = 64 * 1024 * 1024
    #: Redeliveries by the broker after which a queue of work dead-letters a message (`x-delivery-limit`).
    delivery_limit: int = 20
    #: Unexpected errors: more than `brake_share` of the last `brake_window` deliveries pause the worker.
    brake_window: int = 100
    brake_share: float = 0.5
    #: A paused worker tries one delivery in each such interval.
    brake_probe_s: float = 30.0
    #: A queue that stands still gives back what is not begun after this, once until it is worked again. What
    #: was begun goes back then too, where a replica with other connections could publish it.
    give_back_s: float = 10.0
    #: How long what was begun is kept in hand while PostgreSQL is away, or RabbitMQ refuses its publications.
    hold_when_store_away_s: float = 600.0
    #: First and longest pause between two looks at a PostgreSQL that is away.
    store_probe_s: float = 0.5
    store_probe_max_s: float = 3.0
    #: First and longest pause between two attempts to reach RabbitMQ: 10 s after its return all work.
    reconnect_s: float = 0.5
    reconnect_max_s: float = 4.0
    #: With the connection up, a consumer not restored within this ends the process.
    consumer_restore_s: float = 60.0
    #: How often an idle consumer is compared with its queue: the broker may have forgotten it without a word.
    consumer_watch_s: float = 3.0
    #: A statement of a worker waits so long for a row that another session has locked; then its message waits
    #: alone, so long in hand, before a try of it is counted.
    lock_wait_s: float = 0.25
    lock_patience_s: float = 60.0
    #: A publish whose confirm does not come within this has failed.
    publish_confirm_s: float = 10.0

    # Inbound resolver.
    #: Lease of the claim to publish `inbound.enriched`, by the database clock. Its owner extends it while it
    #: publishes, however long that takes; a dead owner's messages go on after it.
    publish_claim_s: float = 10.0
    #: A customer who says over and over what they want to be sent is answered once in this.
    consent_answer_s: float = 3600.0

    # Outbound sender.
    #: A claimed attempt's HTTP request starts within this, or the attempt is given up.
    claim_start_s: float = 5.0
    #: Whole HTTP request, from its first byte to the answer's last.
    http_timeout_s: float = 15.0
    #: A message that a proxy or firewall answers in the platform's place waits so long for the platform.
    unanswered_max_s: float = 24 * 3600.0
    #: An attempt still open after this was left by a writer that died, and is ambiguous.
    attempt_abandoned_s: float = 30.0
    #: An ambiguous message waits this long for a status with its callback data …
    ambiguous_wait_s: float = 90.0
    #: … and at most this long while the status queue may still hold it.
    ambiguous_max_s: float = 900.0
    #: How often a message is accepted by the platform in all, where statuses report transient failures.
    status_retry_attempts: int = 3
    #: Wait of a customer at the pair limit: base to the power of the count of such answers in a row.
    pair_backoff_base_s: float = 4.0
    pair_backoff_max_s: float = 256.0
    #: Messages to one customer: one per interval, after a burst.
    pair_interval_s: float = 6.0
    pair_burst: int = 45
    #: Share of a number's allowance that is used, and the least share of it that a waiting lane gets.
    number_rate_share: float = 0.9
    lane_min_share: float = 0.1
    #: Slow-down of a number at its rate limit where the answer has no Retry-After: first and longest. A first
    #: one of a second kept agents' replies for two: the platform's window often outlasts a stop.
    rate_backoff_s: float = 0.3
    rate_backoff_max_s: float = 300.0
    #: Such an answer cuts the number's rate to this share of what it was, never below the floor of its full
    #: rate; it grows back evenly, from nothing to full in the recovery.
    rate_cut: float = 0.5
    rate_floor: float = 0.1
    rate_recovery_s: float = 60.0
    #: A waiting lane keeps its claim on the number for so long after it was told to come back. Short enough
    #: that what a lane leaves unclaimed still fits the burst of the number's bucket.
    lane_return_s: float = 0.1
    #: Hold of a number's marketing after a spam or policy limit.
    spam_hold_s: float = 3600.0
    #: Breaker: failures in a row, from at least so many messages, open it; half open, so many probes at once.
    breaker_failures: int = 5
    breaker_messages: int = 3
    breaker_open_s: float = 30.0
    breaker_probes: int = 2
    #: Lease of a half-open probe, so that a prober that died does not keep the breaker half open.
    breaker_probe_lease_s: float = 30.0

    # Status updater.
    #: How often the scheduler matches stored events without a message.
    status_match_s: float = 30.0
    #: After this an event without a message counts as unmatched.
    status_unmatched_h: float = 24.0

    # Broadcast batcher.
    #: At most so much of a number's rate is queued ahead of the sender.
    campaign_horizon_s: float = 10.0
    #: Customer service window: free text reaches a customer only so long after their last message.
    window_h: float = 24.0

    # Dead letters.
    #: `lock_timeout` and `database_error` go back by themselves after this, so many times.
    auto_replay_s: float = 300.0
    auto_replays: int = 3
    #: Lease of a claimed replay, by the database clock.
    replay_claim_s: float = 60.0

    # Scheduler.
    #: Pause between two rounds of a scheduler that holds the lease, and the lease itself.
    scheduler_tick_s: float = 1.0
    scheduler_lease_s: float = 15.0
    #: Without a scheduler's lease for this long, senders are degraded.
    scheduler_lease_stale_s: float = 60.0
    #: Publications left unmarked this long are published again.
    unmarked_after_s: float = 15.0
    #: A deferred row that was published and not handled is due again after this.
    deferred_claim_s: float = 60.0
    #: Deferred messages that may be out, published and not handled, for each consumer of a lane; of one
    #: number no more than it sends in a second. Less than what one number may have in a sender's hands.
    deferred_window: int = 80
    #: Pause between two looks while there is something to publish, and the longest before a destination
    #: that refuses is tried again.
    deferred_look_s: float = 0.1
    refused_pause_max_s: float = 30.0
    #: A message that is queued for so long, was not attempted since and is in no queue has lost its delivery.
    #: Longer than a worker keeps one in hand, and than the longest delay tier.
    lost_after_s: float = 900.0
    #: Rows of one round: conversations expired, deferred messages published.
    expiry_rows: int = 1000
    deferred_rows: int = 500
    #: How often what is older than its retention is removed, and how often gauges are read.
    retention_s: float = 3600.0
    gauges_s: float = 15.0

    # Retention.
    retention_messages_days: float = 90.0
    retention_status_events_days: float = 30.0
    retention_attempts_days: float = 30.0
    retention_dead_letters_days: float = 30.0
    #: After a cart was closed; and after a product was looked at.
    retention_carts_days: float = 90.0
    retention_views_days: float = 30.0
    #: An open cart that nobody can be reminded of expires when it is untouched for so long.
    cart_left_h: float = 72.0
    retention_notices_days: float = 90.0
    retention_reengagement_days: float = 365.0
    #: Least retention of messages, events and attempts: platforms repeat an event for 7 days.
    retention_floor_days: float = 8.0

    def __post_init__(self) -> None:
        if len(self.retry_tier_s) != len(RETRY_TIER_NAMES):
            raise ValueError(f"retry_tier_s needs {len(RETRY_TIER_NAMES)} delays, one per tier")


#: The durations of production.
DURATIONS: Final = Durations()
