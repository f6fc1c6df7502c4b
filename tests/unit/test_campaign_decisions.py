"""What launches and controls do to a campaign, whatever the order in which they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.durations import DURATIONS
from shared.messaging.numbers.ahead import allowance
from shared.payloads.events import CampaignState
from workers.broadcast_batcher.decisions import (
    Action,
    CampaignRow,
    Launch,
    NextState,
    decide_control,
    decide_launch,
    launched,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
RUNNING = CampaignRow("running", NOW, fields_hash=b"h")
DRAFT = CampaignRow("draft", NOW)

Control = tuple[Action, datetime]
CONTROLS = st.tuples(
    st.sampled_from(get_args(Action)), st.integers(0, 5).map(lambda hours: NOW + timedelta(hours=hours))
)


def carried_out(standing: CampaignRow, controls: list[Control]) -> CampaignRow:
    for action, requested_at in controls:
        change = decide_control(standing, action, requested_at)
        if change is not None:
            control_at = max(standing.control_at or requested_at, requested_at)
            standing = replace(standing, status=change.status, control_at=control_at)
    return standing


def test_a_launch_is_first_repeated_or_a_contradiction() -> None:
    assert decide_launch(DRAFT, b"h") is Launch.FIRST
    assert decide_launch(RUNNING, b"h") is Launch.REPEATED
    assert decide_launch(RUNNING, b"other") is Launch.CONTRADICTION


@pytest.mark.parametrize(
    ("status", "scheduled_at", "expected"),
    [
        ("draft", None, NextState("running", NOW)),
        ("draft", NOW, NextState("running", NOW)),
        ("draft", LATER, NextState("scheduled", LATER)),
        ("paused", LATER, NextState("paused")),
        ("cancelled", None, NextState("cancelled")),
    ],
)
def test_a_first_launch_starts_a_draft_and_heeds_what_overtook_it(
    status: CampaignState, scheduled_at: datetime | None, expected: NextState
) -> None:
    assert launched(CampaignRow(status, NOW), scheduled_at) == expected


@pytest.mark.parametrize("status", ["cancelled", "done"])
@pytest.mark.parametrize("action", get_args(Action))
def test_nothing_changes_what_is_over(status: CampaignState, action: Action) -> None:
    assert decide_control(CampaignRow(status, NOW, b"h"), action, LATER) is None


def test_a_resume_goes_back_to_where_the_pause_came_from() -> None:
    paused = CampaignRow("paused", NOW, b"h")
    assert decide_control(paused, "resume", NOW) == NextState("running", NOW)
    planned = replace(paused, scheduled_at=LATER)
    assert decide_control(planned, "resume", NOW) == NextState("scheduled", LATER)
    never_launched = replace(paused, fields_hash=None)

    assert decide_control(never_launched, "resume", NOW) == NextState("draft")


def test_a_control_as_old_as_the_latest_is_stale() -> None:
    standing = replace(RUNNING, control_at=NOW)
    assert decide_control(standing, "pause", NOW) is None
    assert decide_control(standing, "pause", NOW + timedelta(microseconds=1)) == NextState("paused")


@given(st.lists(CONTROLS, max_size=5, unique_by=lambda control: control[1]))
def test_the_order_in_which_controls_come_does_not_matter(controls: list[Control]) -> None:
    orders = permutations(controls)
    assert len({carried_out(RUNNING, list(order)).status for order in orders}) == 1


@given(st.lists(CONTROLS, min_size=1, max_size=5, unique_by=lambda control: control[1]))
def test_a_cancel_is_final_else_the_latest_request_wins(controls: list[Control]) -> None:
    status = carried_out(RUNNING, controls).status
    if any(action == "cancel" for action, _ in controls):
        assert status == "cancelled"
    else:
        latest, _ = max(controls, key=lambda control: control[1])
        assert status == {"pause": "paused", "resume": "running"}[latest]


@pytest.mark.parametrize(
    ("mps", "queued", "expected"),
    [(80, 0, 720), (80, 700, 20), (80, 720, 0), (80, 900, 0), (0.01, 0, 1), (0.01, 1, 0), (0.5, 0, 4)],
)
def test_ten_seconds_of_nine_tenths_of_the_rate_are_queued_at_most(
    mps: float, queued: int, expected: int
) -> None:
    assert allowance(mps, queued, DURATIONS) == expected
