"""What events make of one message and its attempts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.messages import callback_data, read_callback_data
from shared.messaging.messages.judgement import (
    Attempt,
    Background,
    Judgement,
    Message,
    end_attempts,
    judge,
    locate,
)
from shared.messaging.messages.scopes import Evidence, WaitsFor
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction, MessageStatus, StatusOutcome
from tests.support.tracking import FINAL, TRANSIENT, at, happened

ID = UUID("01900000-0000-7000-8000-000000000001")
ALLOWED = 3


def message(status: str = "sent", **fields: Any) -> Message:
    return Message(ID, Direction.OUTBOUND, MessageStatus(status), **{"wamid": "wamid.1", **fields})


def sighting(status: str, second: float = 1, code: int | None = None, attempt: int = 1) -> Sighting:
    return Sighting(happened(status, second, code), None, attempt)


def background(*outcomes: str | None, failures: Sequence[Sighting] = (), body: bool = True) -> Background:
    """Attempts by their outcomes; each that came to an end with a wamid."""
    attempts = [
        Attempt(number, outcome, f"wamid.{number}" if outcome in ("sent", "failed") else None)
        for number, outcome in enumerate(outcomes, start=1)
    ]
    return Background(attempts, failures, body)


def decide(
    sightings: Sequence[Sighting], stored: Background, before: Message | None = None
) -> tuple[Judgement, list[str]]:
    judgement = judge(before or message(), sightings, stored, ALLOWED)
    return judgement, [outcome.value for outcome in judgement.outcomes]


@pytest.mark.parametrize(
    ("code", "subcode", "in_campaign", "hold"),
    [
        (131031, None, False, WaitsFor.NUMBER),
        (33, None, False, WaitsFor.NUMBER),
        (100, 33, True, WaitsFor.NUMBER),
        (100, 2494010, True, WaitsFor.TEMPLATE),
        (100, None, False, None),
        (131048, None, False, WaitsFor.MARKETING),
        (132001, None, True, WaitsFor.CAMPAIGN),
        (132001, None, False, None),
        (132005, None, True, WaitsFor.TEMPLATE),
        (132005, None, False, None),
        (TRANSIENT, None, True, None),
    ],
)
def test_what_others_have_a_part_in_holds_them_too(
    code: int, subcode: int | None, in_campaign: bool, hold: WaitsFor | None
) -> None:
    event = happened("failed", 1, code)
    event = replace(event, errors=[{**event.errors[0], "error_subcode": subcode}])
    stored = replace(background("sent"), evidence=Evidence(in_campaign=in_campaign))
    judgement, _ = decide([Sighting(event, None, 1)], stored)
    held = judgement.held

    assert (held and held.hold) == hold
    assert judgement.retry == (1 if hold or code == TRANSIENT else None)


def test_what_cannot_be_sent_again_fails_and_its_number_is_held_all_the_same() -> None:
    judgement, outcomes = decide([sighting("failed", code=131042)], background("sent", body=False))
    assert (judgement.message.status, outcomes, judgement.retry) == ("failed", ["applied"], None)
    assert judgement.held is not None
    assert (judgement.held.hold, judgement.held.is_kept) == (WaitsFor.NUMBER, False)


def test_what_a_number_was_held_for_uses_up_no_try() -> None:
    attempts = [
        Attempt(1, "failed", "wamid.1", "131042"),
        Attempt(2, "failed", "wamid.2", "131042"),
        Attempt(3, "failed", "wamid.3", "131042"),
        Attempt(4, "sent", "wamid.4"),
    ]
    stored = Background(attempts, has_body=True)
    judgement, _ = decide([sighting("failed", code=TRANSIENT, attempt=4)], stored)

    assert judgement.retry == 4


def test_a_failure_told_again_holds_nobody_again() -> None:
    told = sighting("failed", 1, 131042)
    stored = background("failed", failures=[told])
    before = message(error_code="131042")
    judgement, outcomes = decide([sighting("failed", 2, 131042)], stored, before)

    assert (judgement.held, judgement.retry, outcomes) == (None, None, ["late"])


def test_a_delivered_message_says_nothing_against_its_number() -> None:
    judgement, _ = decide([sighting("delivered"), sighting("failed", code=131042)], background("sent"))
    assert (judgement.message.status, judgement.held) == ("failed", None)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ({"code": "131026.0", "title": "t"}, "131026", "t"),
        ({"code": 131026.0, "title": "t", "message": "m"}, "131026", "m"),
        ({"code": 1, "message": "m", "error_data": {"details": "d"}}, "1", "d"),
        ({"code": 1, "message": "m", "details": {"details": "d"}}, "1", "d"),
        ({"code": 1, "message": "m", "details": "d\0"}, "1", "d "),
        ({"code": "own"}, "own", None),
    ],
)
def test_code_and_reason_are_read_in_every_form(error: dict[str, Any], code: str, text: str | None) -> None:
    seen = Sighting(replace(happened("failed"), errors=[error]))
    assert (seen.error_code, seen.error_message) == (code, text)


@pytest.mark.parametrize(
    ("code", "retried"),
    [
        (TRANSIENT, True),
        (130429, True),
        (131056, True),
        (131053, True),
        (FINAL, False),
        (131047, False),
        (131048, True),
        (131050, False),
        (131042, True),
        (130497, False),
        (132015, False),
        (999999, False),
        (None, False),
    ],
)
def test_only_what_may_pass_is_sent_again(code: int | None, retried: bool) -> None:
    judgement, outcomes = decide([sighting("failed", code=code)], background("sent"))

    assert (judgement.retry, outcomes) == ((1, ["late"]) if retried else (None, ["applied"]))
    assert judgement.message.status == ("sent" if retried else "failed")
    assert judgement.attempts == (
        Attempt(1, "failed", "wamid.1", str(code or "unknown"), f"error {code}" if code else None),
    )


@pytest.mark.parametrize(
    ("stored", "before"),
    [
        (background("sent", body=False), message()),
        (background("failed", "failed", "sent"), message()),
        (background("sent"), message("delivered")),
    ],
    ids=["without its body", "the third time", "after it was delivered"],
)
def test_a_transient_failure_is_final_where_no_attempt_is_left(stored: Background, before: Message) -> None:
    latest = len(stored.attempts)
    judgement, outcomes = decide([sighting("failed", 1, TRANSIENT, latest)], stored, before)

    assert (judgement.retry, outcomes) == (None, ["applied"])
    assert judgement.message.status == "failed"
    assert judgement.failure is not None


def test_attempts_that_the_platform_never_took_do_not_use_up_the_retries() -> None:
    attempts = [
        Attempt(1, "failed"),
        Attempt(2, "failed"),
        Attempt(3, "failed"),
        Attempt(4, "sent", "wamid.1"),
    ]
    judgement, _ = decide([sighting("failed", 1, TRANSIENT, 4)], Background(attempts, (), True))

    assert judgement.retry == 4


@pytest.mark.parametrize("other", [None, "sent", "ambiguous"])
def test_a_failure_waits_while_another_attempt_can_succeed(other: str | None) -> None:
    judgement, outcomes = decide([sighting("failed", 1, FINAL, 1)], background("abandoned", other))
    assert outcomes == ["late"]
    assert (judgement.message.status, judgement.message.failed_at) == ("sent", None)


@pytest.mark.parametrize("why", ["resent", "not_started"])
def test_a_failure_waits_for_an_attempt_that_was_given_up_and_turned_out_to_be_accepted(why: str) -> None:
    """A third one would reach a customer who may have the first."""
    stored = Background(
        [Attempt(1, "abandoned", "wamid.1", why), Attempt(2, "sent", "wamid.2")], has_body=True
    )
    judgement, outcomes = decide([sighting("failed", 5, TRANSIENT, 2)], stored)

    assert outcomes == ["late"]
    assert (judgement.message.status, judgement.retry) == ("sent", None)


def test_a_failure_counts_where_the_attempt_that_was_given_up_failed_as_well() -> None:
    failed_first = Sighting(happened("failed", 1, FINAL), 77, 1)
    attempts = [Attempt(1, "abandoned", "wamid.1", "resent"), Attempt(2, "sent", "wamid.2")]
    judgement, outcomes = decide([sighting("failed", 5, FINAL, 2)], Background(attempts, [failed_first]))

    assert outcomes == ["applied"]
    assert judgement.message.status == "failed"


def test_a_failure_that_waited_counts_with_the_last_attempts() -> None:
    waiting = Sighting(happened("failed", 1, FINAL), 77, 2)
    attempts = [Attempt(1, "abandoned", "wamid.1"), Attempt(2, "failed", "wamid.2", str(FINAL))]
    judgement, outcomes = decide([sighting("failed", 5, FINAL, 1)], Background(attempts, [waiting]))

    assert outcomes == ["late"]
    assert judgement.resettled == (waiting,)
    assert (judgement.message.status, judgement.message.failed_at) == ("failed", at(1))


def test_a_failure_before_a_retry_that_is_due_leaves_it_alone() -> None:
    """The latest attempt failed by its answer and waits for its counted retry: nothing is final."""
    attempts = [Attempt(1, "abandoned"), Attempt(2, "failed")]
    _, outcomes = decide([sighting("failed", 1, FINAL, 1)], Background(attempts), message("queued"))

    assert outcomes == ["late"]


@pytest.mark.parametrize("last", ["failed", "abandoned"])
def test_a_failure_counts_where_its_attempt_was_accepted_in_place_of_a_later_one(last: str) -> None:
    """The retry of the later attempt found the message sent, and was acknowledged."""
    stored = Background([Attempt(1, "sent", "wamid.1"), Attempt(2, last)], has_body=True)
    judgement, outcomes = decide([sighting("failed", 5, FINAL, 1)], stored)
    assert (outcomes, judgement.message.status) == (["applied"], "failed")
    judgement, outcomes = decide([sighting("failed", 5, TRANSIENT, 1)], stored)

    assert (outcomes, judgement.retry, judgement.message.error_code) == (["late"], 1, str(TRANSIENT))


def test_a_failure_that_came_before_the_proof_of_its_attempt_counts_with_it() -> None:
    waiting = Sighting(happened("failed", 1, FINAL), 77, 1)
    attempts = [Attempt(1, "abandoned", "wamid.1"), Attempt(2, "failed")]
    judgement, _ = decide(
        [sighting("sent", 0, attempt=1)], Background(attempts, [waiting]), message("queued")
    )

    assert judgement.message.status == "failed"
    assert judgement.resettled == (waiting,)


@pytest.mark.parametrize("outcome", [None, "ambiguous", "abandoned", "failed"])
def test_a_proof_binds_its_attempt(outcome: str | None) -> None:
    stored = Background([Attempt(1, outcome)])
    judgement, _ = decide([sighting("delivered")], stored, message("queued", wamid=None))

    assert judgement.attempts == (Attempt(1, "sent", "wamid.1"),)
    assert (judgement.message.wamid, judgement.message.status) == ("wamid.1", "delivered")


def test_only_one_attempt_is_open_or_sent() -> None:
    stored = Background([Attempt(1, "abandoned"), Attempt(2)])
    assert end_attempts(stored, [sighting("sent", attempt=1)]) == (
        Attempt(1, "abandoned", "wamid.1"),
        Attempt(2),
    )


def test_an_event_names_its_attempt_by_callback_data_then_by_wamid() -> None:
    attempts = [Attempt(1, "failed", "wamid.a"), Attempt(2, "sent", "wamid.b")]
    other = UUID(int=5)

    assert locate(happened("sent", callback_data=callback_data(ID, 7)), ID, attempts) == 7
    assert locate(happened("sent", wamid="wamid.a"), ID, attempts) == 1
    assert locate(happened("sent", wamid="wamid.a", callback_data=callback_data(other, 9)), ID, attempts) == 1
    assert locate(happened("sent", genesys_message_id="g"), ID, attempts) == 2
    assert locate(happened("sent"), ID, []) == 0


@pytest.mark.parametrize("text", [None, "", "order 7", f"{ID}", f"{ID}:", f"{ID}:x", f"x{ID}:1"])
def test_callback_data_of_others_is_not_ours(text: str | None) -> None:
    assert read_callback_data(text) is None
    assert read_callback_data(callback_data(ID, 12)) == (ID, 12)


def test_an_inbound_message_has_no_attempts() -> None:
    inbound = Message(ID, Direction.INBOUND, MessageStatus.RECEIVED, "wamid.1")
    judgement, outcomes = decide(
        [sighting("failed", code=TRANSIENT), sighting("read")], Background(), inbound
    )

    assert outcomes == ["applied", "rejected"]
    assert (judgement.message.status, judgement.message.read_at) == ("failed", None)


KINDS = ("sent", "delivered", "read", "failed")
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from([1, 2]), st.sampled_from([TRANSIENT, FINAL, 131021])),
    min_size=1,
    max_size=6,
)


@given(EVENTS, st.randoms(use_true_random=False), st.sampled_from(["sent", "queued"]))
def test_neither_order_nor_batches_change_where_a_message_ends(
    events: list[tuple[str, int, int]], random: Any, begin: str
) -> None:
    stored = Background([Attempt(1, "sent", "wamid.1")], (), True)
    sightings = [
        Sighting(happened(kind, second, code if kind == "failed" else None), number, 1)
        for number, (kind, second, code) in enumerate(events)
    ]
    together = judge(message(begin), sightings, stored, ALLOWED).message
    random.shuffle(sightings)

    assert play(message(begin), sightings, stored, random) == together


def play(row: Message, sightings: Sequence[Sighting], stored: Background, random: Any) -> Message:
    """Events in batches of random size, as they come; what is stored is kept from one to the next."""
    left = list(sightings)
    while left:
        size = random.randint(1, len(left))
        batch, left = left[:size], left[size:]
        judgement = judge(row, batch, stored, ALLOWED)
        row = judgement.message
        failures = [*stored.failures, *(item for item in batch if item.event.status == "failed")]
        stored = replace(stored, attempts=end_attempts(stored, batch), failures=failures)
        assert StatusOutcome.REJECTED not in judgement.outcomes
    return row
