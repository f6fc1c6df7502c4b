"""What holds a campaign, and the words in which `wabus campaign status` says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.durations import DURATIONS
from shared.messaging.campaigns.holds import CampaignSituation, HoldKind, holds_of
from shared.messaging.campaigns.status import STATUSES, CampaignStatus
from workers.cli.campaign_view import describe_holds

AT: Final = datetime(2026, 11, 27, 9, tzinfo=UTC)
MOVING: Final = CampaignSituation(
    status="running",
    status_reason=None,
    number="1001",
    is_due=True,
    scheduled_at=None,
    number_paused_since=None,
    number_reason=None,
    breaker_since=None,
    lapsed_s=-5.0,
    left=0,
    queued=7,
    sent_lately=3,
)


def shown(situation: CampaignSituation) -> list[str]:
    status = CampaignStatus(
        id="spring",
        name=None,
        status=situation.status,
        status_reason=situation.status_reason,
        phone_number_id=situation.number,
        category=None,
        batch_size=50,
        batch_delay_ms=1000,
        scheduled_at=situation.scheduled_at,
        on_ambiguous=None,
        next_batch_at=None,
        started_at=None,
        finished_at=None,
        created_at=AT,
        recipients=dict.fromkeys(STATUSES, 0) | {"pending": situation.left, "queued": situation.queued},
        reasons={},
        holds=holds_of(situation),
        rate=0.0,
        eta_s=None,
    )
    return describe_holds(status)


@pytest.mark.parametrize(
    ("differs", "kind", "words"),
    [
        (
            {"status": "draft"},
            HoldKind.NOT_TAKEN_UP,
            "the launch is not taken up: is a broadcast-batcher running?",
        ),
        ({"status": "paused"}, HoldKind.PAUSED, "the campaign is paused: by an operator"),
        (
            {"status": "paused", "status_reason": "refused by Meta"},
            HoldKind.PAUSED,
            "the campaign is paused: refused by Meta",
        ),
        (
            {"status": "scheduled", "scheduled_at": AT, "is_due": False},
            HoldKind.NOT_DUE,
            "scheduled at 2026-11-27 09:00:00Z",
        ),
        (
            {"number_paused_since": AT},
            HoldKind.NUMBER_PAUSED,
            "number 1001 is paused since 2026-11-27 09:00:00Z: no reason given",
        ),
        (
            {"number_paused_since": AT, "number_reason": "quality is low"},
            HoldKind.NUMBER_PAUSED,
            "number 1001 is paused since 2026-11-27 09:00:00Z: quality is low",
        ),
        (
            {"breaker_since": AT},
            HoldKind.BREAKER_OPEN,
            "the breaker of number 1001 is open since 2026-11-27 09:00:00Z",
        ),
        (
            {"lapsed_s": None},
            HoldKind.NO_SCHEDULER,
            "no scheduler acts: no batch is begun and nothing that was deferred goes on",
        ),
        (
            {"lapsed_s": DURATIONS.scheduler_lease_stale_s + 1},
            HoldKind.NO_SCHEDULER,
            "no scheduler acts: no batch is begun and nothing that was deferred goes on",
        ),
        (
            {"sent_lately": 0},
            HoldKind.NOTHING_SENT,
            "7 are queued and none was sent in the last minute: is an outbound-sender running?",
        ),
        (
            {"left": 1},
            HoldKind.NUMBER_RATE,
            "no faster than its number's rate: the next batch waits for what is queued",
        ),
    ],
)
def test_each_hold_is_known_and_said_in_one_line(differs: dict[str, Any], kind: HoldKind, words: str) -> None:
    situation = replace(MOVING, **differs)

    assert [hold.kind for hold in holds_of(situation)] == [kind]
    assert shown(situation) == [words]


@pytest.mark.parametrize(
    "differs",
    [
        {},
        {"status": "scheduled", "scheduled_at": AT},
        {"status": "done", "lapsed_s": None},
        {"status": "cancelled", "number_paused_since": AT},
    ],
)
def test_nothing_holds_what_moves_or_is_over(differs: dict[str, Any]) -> None:
    assert holds_of(replace(MOVING, **differs)) == []


def test_the_most_decisive_hold_comes_first() -> None:
    held = replace(MOVING, status="paused", number_paused_since=AT, breaker_since=AT, lapsed_s=None)

    assert [hold.kind for hold in holds_of(held)] == [
        HoldKind.PAUSED,
        HoldKind.NUMBER_PAUSED,
        HoldKind.BREAKER_OPEN,
        HoldKind.NO_SCHEDULER,
    ]
