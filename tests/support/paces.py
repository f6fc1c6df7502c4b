"""Paces at which workers run in tests, by the name that a command line gives them.

`shipped` is production's; so is `hosted`, but for the delay tiers of the virtual host of tests. `brisk`
is for tests in which workers die and come back within seconds: it shortens only what a test cannot sit out.
`fast` is for tests in which nothing takes long.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shared.durations import DURATIONS, Durations
from tests.support.cluster import FAST

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

SHIPPED: Final = "shipped"
HOSTED: Final = "hosted"
PACES: Final[Mapping[str, Durations]] = {
    "fast": FAST,
    "brisk": BRISK,
    HOSTED: replace(DURATIONS, retry_tier_s=FAST.retry_tier_s),
    SHIPPED: DURATIONS,
}
