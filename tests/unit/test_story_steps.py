"""The steps of messages, from webhook to read, and the milliseconds between them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.messaging.messages.steps import steps_of

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
INBOUND, OUTBOUND = UUID(int=1), UUID(int=2)


def at(ms: int) -> datetime:
    return NOON + timedelta(milliseconds=ms)


def told(message_id: UUID, direction: str, **more: Any) -> dict[str, Any]:
    nothing = {"sent_at": None, "published_at": None, "deferral": None}
    lists: dict[str, Any] = {"attempts": [], "status_events": [], "dead_letters": []}
    return {"id": message_id, "direction": direction, **nothing, **lists, **more}


def status(name: str, ms: int, source: str = "whatsapp", outcome: str | None = "applied") -> dict[str, Any]:
    return {"status": name, "received_at": at(ms), "source": source, "outcome": outcome}


def attempt(number: int, began: int, ended: int | None, outcome: str | None, **more: Any) -> dict[str, Any]:
    finished = None if ended is None else at(ended)
    said = {"attempt": number, "outcome": outcome, "error_code": None}
    return {**said, "started_at": at(began), "finished_at": finished, **more}


def test_the_steps_of_a_trace_lead_from_webhook_to_read() -> None:
    wrote = told(INBOUND, "INBOUND", sent_at=at(0), created_at=at(640), published_at=at(655))
    answer = told(
        OUTBOUND,
        "OUTBOUND",
        created_at=at(9000),
        attempts=[attempt(1, 9010, 9100, "failed", error_code="131000"), attempt(2, 9600, 9700, "sent")],
        status_events=[
            status("sent", 9701, source="wabus"),
            status("read", 12000),
            status("delivered", 10000),
        ],
    )

    steps = steps_of([answer, wrote])

    assert [(step["ms"], step["total_ms"], step["step"]) for step in steps] == [
        (0, 0, "the customer wrote"),
        (640, 640, "received"),
        (15, 655, "told as inbound.enriched"),
        (8345, 9000, "taken in to be sent"),
        (10, 9010, "attempt 1 began"),
        (90, 9100, "attempt 1: failed, 131000"),
        (500, 9600, "attempt 2 began"),
        (100, 9700, "attempt 2: sent"),
        (300, 10000, "delivered, applied"),
        (2000, 12000, "read, applied"),
    ]
    assert [step["message_id"] for step in steps] == [INBOUND] * 3 + [OUTBOUND] * 7


def test_what_waits_and_what_died_are_steps_too() -> None:
    letter = {"created_at": at(30), "reason": "expired", "replayed_at": at(50), "dismissed_at": None}
    message = told(
        OUTBOUND,
        "OUTBOUND",
        created_at=at(0),
        status_events=[status("failed", 20, source="wabus"), status("sent", 25, outcome=None)],
        deferral={"reason": "number_paused", "created_at": at(10)},
        dead_letters=[letter],
    )

    steps = steps_of([message])

    assert [step["step"] for step in steps] == [
        "taken in to be sent",
        "deferred: number_paused",
        "failed without an attempt",
        "sent, not applied yet",
        "dead: expired",
        "replayed",
    ]


def test_an_open_attempt_has_begun_and_no_more() -> None:
    message = told(OUTBOUND, "OUTBOUND", created_at=at(0), attempts=[attempt(1, 5, None, None)])

    assert [step["step"] for step in steps_of([message])] == ["taken in to be sent", "attempt 1 began"]
