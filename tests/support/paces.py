"""Paces at which workers run in tests, by the name that a command line gives them.

`shipped` is production's; so is `hosted`, but for the delay tiers of the virtual host of tests. `brisk`
is for tests in which workers die and come back within seconds: it shortens only what a test cannot sit out.
`fast` is for tests in which nothing takes long, `watched` for tests of alerts.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shared.durations import DURATIONS, Durations

#: Production's rules at a test's pace. What a machine that stalls for a second must not pass stays long.
FAST: Final = replace(
    DURATIONS,
    redis_call_s=2.0,
    lock_waits_s=(0.02, 0.04, 0.08),
    retry_tier_s=(0.1, 0.2, 0.3, 0.4),
    held_in_hand_s=2.0,
    brake_probe_s=0.2,
    give_back_s=5.0,
    hold_when_store_away_s=20.0,
    store_probe_s=0.05,
    store_probe_max_s=0.2,
    reconnect_s=0.05,
    reconnect_max_s=0.3,
    consumer_restore_s=30.0,
    consumer_watch_s=0.5,
    publish_confirm_s=5.0,
    publish_claim_s=2.0,
    claim_start_s=5.0,
    http_timeout_s=5.0,
    attempt_abandoned_s=1.0,
    ambiguous_wait_s=0.8,
    ambiguous_max_s=3.0,
    pair_interval_s=0.2,
    rate_backoff_s=0.1,
    spam_hold_s=1.0,
    breaker_open_s=0.5,
    breaker_probe_lease_s=0.5,
    status_match_s=0.3,
    auto_replay_s=0.3,
    replay_claim_s=1.0,
    scheduler_tick_s=0.1,
    scheduler_lease_s=1.0,
    scheduler_lease_stale_s=1.5,
    unmarked_after_s=2.0,
    deferred_claim_s=2.0,
    deferred_look_s=0.02,
    refused_pause_max_s=0.4,
    retention_s=1.0,
    gauges_s=0.6,
)

#: A worker is back within three or four seconds: retries, leases and claims must outlast that, not much more.
BRISK: Final = replace(
    DURATIONS,
    retry_tier_s=(1.0, 4.0, 12.0, 30.0),
    publish_claim_s=4.0,
    attempt_abandoned_s=6.0,
    ambiguous_wait_s=8.0,
    ambiguous_max_s=30.0,
    http_timeout_s=5.0,
    pair_backoff_base_s=2.0,
    breaker_open_s=3.0,
    breaker_probe_lease_s=3.0,
    status_match_s=2.0,
    scheduler_lease_s=5.0,
    unmarked_after_s=4.0,
    deferred_claim_s=8.0,
    gauges_s=5.0,
)

#: Ten times production's pace in all that an alert sees, for a Prometheus that is ten times faster, too.
#: A Redis that a busy machine keeps waiting must not pass for one that is away.
WATCHED: Final = replace(
    DURATIONS,
    redis_call_s=0.8,
    redis_probe_s=0.2,
    store_probe_s=0.05,
    store_probe_max_s=0.3,
    reconnect_s=0.05,
    reconnect_max_s=0.4,
    consumer_watch_s=0.3,
    http_timeout_s=1.5,
    attempt_abandoned_s=3.0,
    ambiguous_wait_s=9.0,
    ambiguous_max_s=90.0,
    breaker_open_s=3.0,
    breaker_probe_lease_s=3.0,
    status_match_s=3.0,
    scheduler_tick_s=0.2,
    scheduler_lease_s=1.5,
    scheduler_lease_stale_s=6.0,
    unmarked_after_s=1.5,
    deferred_claim_s=6.0,
    gauges_s=1.5,
)

SHIPPED: Final = "shipped"
HOSTED: Final = "hosted"
PACES: Final[Mapping[str, Durations]] = {
    "fast": FAST,
    "brisk": BRISK,
    "watched": WATCHED,
    HOSTED: replace(DURATIONS, retry_tier_s=FAST.retry_tier_s),
    SHIPPED: DURATIONS,
}
