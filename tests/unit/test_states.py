"""The state machine: every pair of states, and what any set of events makes of a row."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.messages.states import (
    EVENT_STATES,
    RANKS,
    TRANSITIONS,
    Direction,
    MessageStatus,
    StatusOutcome,
    Step,
    is_valid_transition,
    rank,
    read_status,
    walk,
)

S = MessageStatus
R = StatusOutcome
OUT, IN = Direction.OUTBOUND, Direction.INBOUND

VALID = {
    (S.QUEUED, S.SENT),
    (S.QUEUED, S.FAILED),
    (S.SENT, S.DELIVERED),
    (S.SENT, S.FAILED),
    (S.DELIVERED, S.READ),
    (S.DELIVERED, S.FAILED),
    (S.RECEIVED, S.PROCESSED),
    (S.RECEIVED, S.FAILED),
}

events = st.lists(st.sampled_from([*EVENT_STATES, "deleted", "queued", "received", ""]), max_size=8)
rows = st.one_of(
    *(st.tuples(st.just(direction), st.sampled_from([None, *RANKS[direction]])) for direction in Direction)
)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Delivered", "delivered"),
        ("READ", "read"),
        ("Played", "played"),
        ("failed", "failed"),
        ("Warming_Up", "Warming_Up"),
        ("QUEUED", "QUEUED"),
    ],
)
def test_a_status_is_known_in_any_case_and_another_word_stays_as_it_came(word: str, status: str) -> None:
    assert read_status(word) == status


@pytest.mark.parametrize(("old", "new"), list(product(S, S)))
def test_every_pair_of_states_is_valid_exactly_where_the_step_function_says(
    old: MessageStatus, new: MessageStatus
) -> None:
    assert is_valid_transition(old, new) is (old == new or (old, new) in VALID)


def test_every_state_has_a_line_in_the_table_and_a_rank() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {state for ladder in RANKS.values() for state in ladder} == set(S)


def test_ranks_are_those_of_the_rule() -> None:
    assert [str(s) for s in RANKS[OUT]] == ["queued", "sent", "delivered", "failed", "read"]
    assert [str(s) for s in RANKS[IN]] == ["received", "failed", "processed"]


@pytest.mark.parametrize(
    ("direction", "status"), [(OUT, S.RECEIVED), (OUT, S.PROCESSED), (IN, S.SENT), (IN, S.QUEUED)]
)
def test_a_status_of_the_other_direction_has_no_rank(direction: Direction, status: MessageStatus) -> None:
    with pytest.raises(ValueError, match="never applies"):
        rank(direction, status)
    with pytest.raises(ValueError, match="never applies"):
        walk(direction, status, ["failed"])


def steps(*names: str) -> tuple[Step, ...]:
    """`steps("queued", "sent?", "delivered")`: the states walked, those marked `?` implied."""
    states = [S(name.rstrip("?")) for name in names]
    return tuple(
        Step(states[i], states[i + 1], implied=names[i + 1].endswith("?")) for i in range(len(states) - 1)
    )


@pytest.mark.parametrize(
    ("direction", "current", "observed", "walked", "outcomes"),
    [
        (OUT, S.QUEUED, ["sent"], ["queued", "sent"], [R.APPLIED]),
        (OUT, S.QUEUED, ["delivered"], ["queued", "sent?", "delivered"], [R.APPLIED]),
        (OUT, S.QUEUED, ["read"], ["queued", "sent?", "delivered?", "read"], [R.APPLIED]),
        (OUT, S.SENT, ["read"], ["sent", "delivered?", "read"], [R.APPLIED]),
        (OUT, S.SENT, ["played"], ["sent", "delivered?", "read"], [R.APPLIED]),
        (OUT, S.QUEUED, ["failed"], ["queued", "failed"], [R.APPLIED]),
        (OUT, S.SENT, ["failed"], ["sent", "failed"], [R.APPLIED]),
        (OUT, S.DELIVERED, ["failed"], ["delivered", "failed"], [R.APPLIED]),
        (OUT, S.READ, ["failed"], ["read"], [R.LATE]),
        (OUT, S.FAILED, ["read"], ["failed", "read"], [R.APPLIED]),
        (OUT, S.FAILED, ["played"], ["failed", "read"], [R.APPLIED]),
        (OUT, S.FAILED, ["delivered"], ["failed"], [R.LATE]),
        (OUT, S.FAILED, ["sent"], ["failed"], [R.LATE]),
        (OUT, S.FAILED, ["failed"], ["failed"], [R.DUPLICATE]),
        (OUT, S.DELIVERED, ["sent"], ["delivered"], [R.LATE]),
        (OUT, S.READ, ["played"], ["read"], [R.DUPLICATE]),
        (OUT, S.READ, ["read", "delivered"], ["read"], [R.DUPLICATE, R.LATE]),
        (OUT, S.SENT, ["processed"], ["sent"], [R.REJECTED]),
        (OUT, S.SENT, ["deleted"], ["sent"], [R.IGNORED]),
        (OUT, S.SENT, ["received"], ["sent"], [R.IGNORED]),
        (OUT, None, ["sent"], ["queued", "sent"], [R.APPLIED]),
        (OUT, None, [], ["queued"], []),
        (OUT, S.QUEUED, ["read", "sent"], ["queued", "sent", "delivered?", "read"], [R.APPLIED] * 2),
        (OUT, S.QUEUED, ["sent", "sent"], ["queued", "sent"], [R.APPLIED, R.DUPLICATE]),
        (OUT, S.SENT, ["read", "played"], ["sent", "delivered?", "read"], [R.APPLIED, R.DUPLICATE]),
        (OUT, S.QUEUED, ["failed", "sent"], ["queued", "sent", "failed"], [R.APPLIED] * 2),
        (OUT, S.QUEUED, ["failed", "delivered"], ["queued", "sent?", "delivered", "failed"], [R.APPLIED] * 2),
        (OUT, S.SENT, ["failed", "read"], ["sent", "delivered?", "read"], [R.LATE, R.APPLIED]),
        (OUT, S.FAILED, ["delivered", "read"], ["failed", "read"], [R.LATE, R.APPLIED]),
        (IN, S.RECEIVED, ["processed"], ["received", "processed"], [R.APPLIED]),
        (IN, S.RECEIVED, ["failed"], ["received", "failed"], [R.APPLIED]),
        (IN, S.FAILED, ["processed"], ["failed", "processed"], [R.APPLIED]),
        (IN, S.PROCESSED, ["failed"], ["processed"], [R.LATE]),
        (IN, S.RECEIVED, ["failed", "processed"], ["received", "processed"], [R.LATE, R.APPLIED]),
        (IN, S.RECEIVED, ["delivered"], ["received"], [R.REJECTED]),
        (IN, S.RECEIVED, ["read"], ["received"], [R.REJECTED]),
        (IN, S.RECEIVED, ["played"], ["received"], [R.REJECTED]),
        (IN, None, ["processed"], ["received", "processed"], [R.APPLIED]),
    ],
)
def test_a_set_of_events_walks_the_row_as_the_rule_says(
    direction: Direction,
    current: MessageStatus | None,
    observed: list[str],
    walked: list[str],
    outcomes: list[StatusOutcome],
) -> None:
    result = walk(direction, current, observed)

    assert result.steps == steps(*walked)
    assert result.status == S(walked[-1])
    assert list(result.outcomes) == outcomes


@given(rows, events)
def test_a_walk_never_goes_back_and_ends_at_the_highest_rank_observed(
    row: tuple[Direction, MessageStatus | None], observed: list[str]
) -> None:
    direction, current = row
    start = current or RANKS[direction][0]
    states = {EVENT_STATES[e] for e in observed if e in EVENT_STATES} & set(RANKS[direction])

    result = walk(direction, current, observed)

    assert result.status == max({start} | states, key=RANKS[direction].index)
    ranks = [rank(direction, start), *(rank(direction, step.new) for step in result.steps)]

    assert ranks == sorted(set(ranks))


@given(rows, events)
def test_every_step_is_one_a_caller_may_ask_for_or_the_correction_of_a_failure(
    row: tuple[Direction, MessageStatus | None], observed: list[str]
) -> None:
    for step in walk(*row, observed).steps:
        corrected = step.old is S.FAILED and step.new in (S.READ, S.PROCESSED)
        assert corrected or step.new in TRANSITIONS[step.old]
        assert not (step.implied and (corrected or step.new is S.FAILED))


@given(rows, events, st.data())
def test_any_permutation_repetition_and_split_of_the_events_ends_in_the_same_status(
    row: tuple[Direction, MessageStatus | None], observed: list[str], data: st.DataObject
) -> None:
    direction, current = row
    repeats = data.draw(st.lists(st.sampled_from(observed or [""]), max_size=4))
    arrived = data.draw(st.permutations(observed + repeats))
    cut = data.draw(st.integers(0, len(arrived)))

    first = walk(direction, current, arrived[:cut])
    second = walk(direction, first.status, arrived[cut:])

    assert second.status == walk(direction, current, observed).status


@given(rows, events)
def test_every_event_has_one_outcome_and_every_step_not_implied_has_one_applied_event(
    row: tuple[Direction, MessageStatus | None], observed: list[str]
) -> None:
    result = walk(*row, observed)

    assert len(result.outcomes) == len(observed)
    applied = [EVENT_STATES[e] for e, o in zip(observed, result.outcomes, strict=True) if o is R.APPLIED]

    assert sorted(applied) == sorted(step.new for step in result.steps if not step.implied)
    assert R.IMPLIED not in result.outcomes
    assert R.UNMATCHED not in result.outcomes


def test_the_events_of_one_message_one_by_one_in_every_order_end_as_read() -> None:
    for order in permutations(["sent", "delivered", "failed", "read", "played", "read"]):
        status = S.QUEUED
        for event in order:
            status = walk(OUT, status, [event]).status
        assert status is S.READ
