"""What an answer of the Cloud API is, and what follows from it, code by code."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.durations import DURATIONS
from shared.graph_errors import CLASS_OF_CODE, ErrorClass
from shared.reasons import DeadReason
from workers.outbound_sender.answer import (
    Accepted,
    Answer,
    Lost,
    Refused,
    TooLate,
    Unreachable,
    read_answer,
)
from workers.outbound_sender.circuit import Health
from workers.outbound_sender.reactions import (
    Again,
    HoldMarketing,
    PauseCampaign,
    PauseNumber,
    Reaction,
    Reconcile,
    Reject,
    RetryLater,
    Sent,
    Situation,
    SlowCustomer,
    SlowNumber,
    health_of,
    react,
    reason_of,
)

ID = UUID(int=1)
FIRST = Situation(attempt=1, delivery_attempt=1, pair_refusals=0, in_campaign=False)


def error(code: object = None, **more: Any) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": f"(#{code}) title"} | more})


def accepted(wamid: object = "wamid.A") -> bytes:
    return orjson.dumps({"messaging_product": "whatsapp", "messages": [{"id": wamid}]})


def refusal(error_class: ErrorClass) -> Refused:
    return Refused(error_class, "1", "text", 400)


def test_a_wamid_is_an_acceptance() -> None:
    assert read_answer(200, {}, accepted()) == Accepted("wamid.A", 200)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b'{"messages": []}'),
        (200, b'{"messages": "wamid"}'),
        (200, accepted(None)),
        (200, accepted("")),
        (200, accepted("wamid\0")),
        (200, accepted("w" * 256)),
        (302, b""),
        (500, b"upstream error"),
        (500, b'{"error": "text"}'),
        (502, b""),
        (503, b""),
        (504, b""),
        (502, error(131000)),
        (504, error(2)),
    ],
)
def test_what_cannot_be_read_or_hides_the_outcome_is_lost(status: int, body: bytes) -> None:
    assert isinstance(read_answer(status, {}, body), Lost)


@pytest.mark.parametrize("code", sorted(CLASS_OF_CODE))
def test_every_known_code_is_refused_as_its_class(code: int) -> None:
    answer = read_answer(400, {}, error(code))
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code, answer.http_status) == (CLASS_OF_CODE[code], str(code), 400)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, "unknown"), (401, "auth"), (404, "unknown"), (408, "transient"), (429, "rate")],
)
def test_a_refusal_without_graph_error_goes_by_its_status(status: int, error_class: str) -> None:
    answer = read_answer(status, {}, b"no")
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code) == (error_class, f"http_{status}")


def test_the_text_names_message_and_details_on_one_line_of_bounded_length() -> None:
    answer = read_answer(400, {}, error(100, message="a\nb\0", error_data={"details": "c" * 1000}))
    assert isinstance(answer, Refused)
    assert answer.text.startswith("a b : ccc")
    assert len(answer.text) == 500


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "999999999"}, 86_400),
        (
            {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT", "Date": "Fri, 31 Dec 2027 23:59:29 GMT"},
            30,
        ),
        (
            {"Retry-After": "Fri, 31 Dec 2027 23:59:29 GMT", "Date": "Fri, 31 Dec 2027 23:59:59 GMT"},
            0,
        ),
        ({"Retry-After": "Fri, 31 Dec 2027 23:59:29 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_time_by_the_answers_own_date(
    headers: dict[str, str], wait_s: float | None
) -> None:
    answer = read_answer(429, headers, error(130429))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("answer", "reaction"),
    [
        (Accepted("wamid.A", 200), Sent()),
        (Lost("cut"), Reconcile()),
        (TooLate(), Again()),
        (Unreachable("refused"), RetryLater(4, DeadReason.MAX_RETRIES_EXCEEDED)),
        (refusal(ErrorClass.TRANSIENT), RetryLater(4, DeadReason.MAX_RETRIES_EXCEEDED)),
        (refusal(ErrorClass.MEDIA), RetryLater(3, DeadReason.SEND_REJECTED)),
        (Refused(ErrorClass.RATE, "130429", "", 429, 7), SlowNumber(7)),
        (refusal(ErrorClass.PAIR), SlowCustomer(1)),
        (refusal(ErrorClass.SPAM), HoldMarketing()),
        (refusal(ErrorClass.AUTH), PauseNumber()),
        (refusal(ErrorClass.TEMPLATE), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.WINDOW), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.UNDELIVERABLE), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.OPTED_OUT), Reject(DeadReason.SEND_REJECTED, opts_out=True)),
        (refusal(ErrorClass.WITHHELD), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.INVALID), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.UNKNOWN), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.AMBIGUOUS), Reconcile()),
    ],
)
def test_each_answer_has_its_reaction(answer: Answer, reaction: Reaction) -> None:
    assert react(answer, FIRST, DURATIONS) == reaction


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_no_class_is_without_a_reaction(error_class: ErrorClass) -> None:
    assert react(refusal(error_class), FIRST, DURATIONS)


def test_a_template_error_pauses_the_campaign_it_belongs_to() -> None:
    situation = Situation(1, 1, 0, in_campaign=True)
    assert react(refusal(ErrorClass.TEMPLATE), situation, DURATIONS) == PauseCampaign()


@pytest.mark.parametrize(
    ("error_class", "last_retried", "reason"),
    [(ErrorClass.TRANSIENT, 4, "max_retries_exceeded"), (ErrorClass.MEDIA, 3, "send_rejected")],
)
def test_counted_retries_end_in_a_rejection(error_class: ErrorClass, last_retried: int, reason: str) -> None:
    def at(delivery_attempt: int) -> Reaction:
        return react(refusal(error_class), Situation(9, delivery_attempt, 0, False), DURATIONS)

    assert isinstance(at(last_retried), RetryLater)
    assert at(last_retried + 1) == Reject(DeadReason(reason))


@pytest.mark.parametrize(
    ("code", "http_status", "reason"),
    [
        ("131047", 400, "send_rejected"),
        ("131000", 500, "max_retries_exceeded"),
        ("131052", 400, "send_rejected"),
        ("unreachable", None, "max_retries_exceeded"),
        ("http_408", 408, "max_retries_exceeded"),
        ("http_403", 403, "send_rejected"),
        ("opted_out", None, "send_rejected"),
        ("expired", None, "expired"),
        ("campaign_cancelled", None, None),
    ],
)
def test_the_code_of_a_failure_tells_why_it_is_dead(
    code: str, http_status: int | None, reason: str | None
) -> None:
    assert reason_of(code, http_status) == reason


def test_each_pair_refusal_in_a_row_waits_longer() -> None:
    assert react(refusal(ErrorClass.PAIR), Situation(4, 1, 3, False), DURATIONS) == SlowCustomer(4)


def test_spam_is_tried_a_few_times_only() -> None:
    assert react(refusal(ErrorClass.SPAM), Situation(4, 1, 0, False), DURATIONS) == HoldMarketing()
    assert isinstance(react(refusal(ErrorClass.SPAM), Situation(5, 1, 0, False), DURATIONS), Reject)


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (Accepted("wamid.A", 200), True),
        (Refused(ErrorClass.INVALID, "100", "", 400), True),
        (Refused(ErrorClass.RATE, "130429", "", 429), True),
        (Refused(ErrorClass.TRANSIENT, "131000", "", 500), False),
        (Lost("time-out"), False),
        (Unreachable("refused"), False),
        (Refused(ErrorClass.AUTH, "no_token", ""), None),
        (TooLate(), None),
    ],
)
def test_the_breaker_hears_of_time_outs_and_5xx_only(answer: Answer, answered: bool | None) -> None:
    assert health_of(answer, ID) == (None if answered is None else Health(ID, answered))
