"""What an answer of the Cloud API is, and what follows from it, code by code."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from shared.durations import DURATIONS
from shared.messaging.messages.graph_errors import CLASS_OF_CODE, ErrorClass
from shared.messaging.numbers.breaker import ApiHealth
from shared.reasons import DeadReason
from workers.outbound_sender.calling.answer import (
    Accepted,
    Answer,
    Lost,
    Refused,
    TooLate,
    Unable,
    Unreachable,
    read_answer,
)
from workers.outbound_sender.calling.reactions import (
    Again,
    AwaitPlatform,
    AwaitWorker,
    Reaction,
    Reconcile,
    Reject,
    RetryLater,
    Sent,
    Situation,
    SlowCustomer,
    SlowNumber,
    Weigh,
    health_of,
    react,
    reason_of,
)

ID = UUID(int=1)
FIRST = Situation(attempt=1, delivery_attempt=1, pair_refusals=0)


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
    [
        *((status, "not_platform") for status in (400, 401, 403, 404, 407, 408)),
        (429, "rate"),
    ],
)
def test_a_refusal_without_graph_error_goes_by_its_status(status: int, error_class: str) -> None:
    answer = read_answer(status, {}, b"no")
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code) == (error_class, f"http_{status}")


def test_the_text_is_the_details_on_one_line_of_bounded_length() -> None:
    answer = read_answer(400, {}, error(100, message="a\nb\0", error_data={"details": "c\n" + "d" * 1000}))
    assert isinstance(answer, Refused)
    assert answer.text == "c " + "d" * 498


def test_an_error_in_a_successful_answer_is_that_error() -> None:
    answer = read_answer(200, {}, error(131047))
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code) == ("window", "131047")


@pytest.mark.parametrize("code", ["131026.0", "131026", 131026.0])
def test_a_code_in_another_notation_is_that_code(code: object) -> None:
    answer = read_answer(400, {}, error(code))
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code) == ("undeliverable", "131026")


def test_the_subcode_of_an_answer_is_read() -> None:
    answer = read_answer(400, {}, error(100, error_subcode=33))
    assert isinstance(answer, Refused)
    assert (answer.error_class, answer.code) == ("auth", "100")


@pytest.mark.parametrize("said", ["held_for_quality_assessment", "paused"])
def test_that_an_accepted_message_is_held_is_kept(said: str) -> None:
    body = orjson.dumps({"messages": [{"id": "wamid.A", "message_status": said}]})
    assert read_answer(200, {}, body) == Accepted("wamid.A", 200, said)


@pytest.mark.parametrize("said", ["accepted", "", None, 7])
def test_that_an_accepted_message_is_accepted_is_nothing_to_keep(said: object) -> None:
    body = orjson.dumps({"messages": [{"id": "wamid.A", "message_status": said}]})
    assert read_answer(200, {}, body) == Accepted("wamid.A", 200)


@pytest.mark.parametrize(("status", "kind"), [(403, Refused), (502, Lost), (200, Lost)])
def test_the_page_of_something_else_is_kept_masked_and_cut_apart_from_the_text(
    status: int, kind: type[Refused | Lost]
) -> None:
    page = "<html>\n  token=abc123 " + "x" * 300
    answer = read_answer(status, {}, page.encode())

    assert isinstance(answer, kind)
    assert answer.page.startswith("<html> token=*** xxx")
    assert len(answer.page) == 200
    assert "html" not in answer.text


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
        (Unable("too many open files"), AwaitWorker(5.0)),
        (refusal(ErrorClass.TRANSIENT), RetryLater(4, DeadReason.MAX_RETRIES_EXCEEDED)),
        (refusal(ErrorClass.MEDIA), RetryLater(3, DeadReason.SEND_REJECTED)),
        (Refused(ErrorClass.RATE, "130429", "", 429, 7), SlowNumber(7)),
        (refusal(ErrorClass.PAIR), SlowCustomer(1)),
        (refusal(ErrorClass.SPAM), Weigh()),
        (refusal(ErrorClass.AUTH), Weigh()),
        (refusal(ErrorClass.TEMPLATE), Weigh()),
        (refusal(ErrorClass.PARAMETER), Weigh()),
        (refusal(ErrorClass.NOT_PLATFORM), AwaitPlatform(5)),
        (refusal(ErrorClass.WINDOW), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.UNDELIVERABLE), Reject(DeadReason.SEND_REJECTED)),
        (refusal(ErrorClass.OPTED_OUT), Reject(DeadReason.SEND_REJECTED)),
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


def test_the_platform_is_awaited_for_a_day_with_growing_patience() -> None:
    def at(attempt: int, unanswered_s: float) -> Reaction:
        return react(refusal(ErrorClass.NOT_PLATFORM), Situation(attempt, 1, 0, unanswered_s), DURATIONS)

    assert [at(attempt, 3600) for attempt in (1, 2, 3, 4, 99)] == [
        AwaitPlatform(wait_s) for wait_s in (5, 30, 120, 600, 600)
    ]
    assert isinstance(at(99, 24 * 3600 - 1), AwaitPlatform)
    assert at(99, 24 * 3600) == Reject(DeadReason.MAX_RETRIES_EXCEEDED)


@pytest.mark.parametrize(
    ("error_class", "last_retried", "reason"),
    [(ErrorClass.TRANSIENT, 4, "max_retries_exceeded"), (ErrorClass.MEDIA, 3, "send_rejected")],
)
def test_counted_retries_end_in_a_rejection(error_class: ErrorClass, last_retried: int, reason: str) -> None:
    def at(delivery_attempt: int) -> Reaction:
        return react(refusal(error_class), Situation(9, delivery_attempt, 0), DURATIONS)

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
        ("http_403", 403, "max_retries_exceeded"),
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
    assert react(refusal(ErrorClass.PAIR), Situation(4, 1, 3), DURATIONS) == SlowCustomer(4)


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (Accepted("wamid.A", 200), True),
        (Refused(ErrorClass.INVALID, "100", "", 400), True),
        (Refused(ErrorClass.RATE, "130429", "", 429), True),
        (Refused(ErrorClass.TRANSIENT, "131000", "", 500), False),
        (Refused(ErrorClass.NOT_PLATFORM, "http_403", "", 403), False),
        (Lost("time-out"), False),
        (Unreachable("refused"), False),
        (Unable("too many open files"), None),
        (Refused(ErrorClass.AUTH, "no_token", ""), None),
        (TooLate(), None),
    ],
)
def test_the_breaker_hears_of_time_outs_and_5xx_only(answer: Answer, answered: bool | None) -> None:
    assert health_of(answer, ID) == (None if answered is None else ApiHealth(ID, answered))
