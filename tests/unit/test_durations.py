"""The fixed numbers and names that other parts rely on."""

from dataclasses import FrozenInstanceError, replace

import pytest

from shared.durations import DURATIONS, RETRY_TIER_NAMES
from shared.reasons import DeadReason


def test_the_retry_tiers_of_production_are_what_their_names_say() -> None:
    assert dict(zip(RETRY_TIER_NAMES, DURATIONS.retry_tier_s, strict=True)) == {
        "5s": 5,
        "30s": 30,
        "2m": 120,
        "10m": 600,
    }


def test_a_test_may_shorten_the_tiers_but_not_drop_one() -> None:
    assert replace(DURATIONS, retry_tier_s=(0.1, 0.2, 0.3, 0.4)).retry_tier_s[3] == 0.4
    with pytest.raises(ValueError, match="one per tier"):
        replace(DURATIONS, retry_tier_s=(0.1,))


def test_the_durations_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        DURATIONS.http_timeout_s = 1.0  # type: ignore[misc]


def test_the_reasons_are_the_public_ones() -> None:
    assert {str(reason) for reason in DeadReason} == {
        "lock_timeout",
        "mapping_not_found",
        "invalid_payload",
        "state_violation",
        "mapping_status_expired",
        "mapping_status_closed",
        "database_error",
        "invalid_media_url",
        "send_rejected",
        "send_ambiguous",
        "max_retries_exceeded",
        "expired",
        "unrouted",
        "delivery_limit",
        "unexpected_error",
    }
