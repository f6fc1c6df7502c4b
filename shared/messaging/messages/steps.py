"""The steps of messages in the order in which they happened, and the milliseconds between them. Pure.

Owns what counts as a step. Times are ours, of the database's clock; only that a customer wrote is known by
the platform's, in whole seconds. Statuses count when they came to us.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from shared.messaging.messages.values import OWN_SOURCE

#: A message as a story has it, with its `attempts`, `status_events`, `deferral` and `dead_letters`.
ToldMessage: TypeAlias = Mapping[str, Any]


def steps_of(messages: Iterable[ToldMessage]) -> list[dict[str, Any]]:
    """`at`, `step`, `message_id`; `ms` since the step before and `total_ms` since the first."""
    known = sorted(_steps(messages), key=lambda step: step[0])
    return [
        {
            "at": at,
            "ms": _ms(known[place - 1][0], at) if place else 0,
            "total_ms": _ms(known[0][0], at),
            "step": step,
            "message_id": message_id,
        }
        for place, (at, step, message_id) in enumerate(known)
    ]


def _steps(messages: Iterable[ToldMessage]) -> Iterator[tuple[datetime, str, UUID]]:
    for message in messages:
        inbound = message["direction"] == "INBOUND"
        times = _received(message) if inbound else _sent(message)
        for at, step in (*times, *_statuses(message), *_letters(message)):
            if at is not None:
                yield at, step, message["id"]


def _received(message: ToldMessage) -> Sequence[tuple[datetime | None, str]]:
    return (
        (message["sent_at"], "the customer wrote"),
        (message["created_at"], "received"),
        (message["published_at"], "told as inbound.enriched"),
    )


def _sent(message: ToldMessage) -> Iterator[tuple[datetime | None, str]]:
    yield message["created_at"], "taken in to be sent"
    for attempt in message["attempts"]:
        yield attempt["started_at"], f"attempt {attempt['attempt']} began"
        yield attempt["finished_at"], f"attempt {attempt['attempt']}: {_named(attempt)}"
    if message["deferral"] is not None:
        yield message["deferral"]["created_at"], f"deferred: {message['deferral']['reason']}"


def _statuses(message: ToldMessage) -> Iterator[tuple[datetime | None, str]]:
    """What platforms said; our own word stands with its attempt, or is all there is."""
    for event in message["status_events"]:
        if event["source"] != OWN_SOURCE:
            yield event["received_at"], f"{event['status']}, {event['outcome'] or 'not applied yet'}"
        elif not message["attempts"]:
            yield event["received_at"], f"{event['status']} without an attempt"


def _letters(message: ToldMessage) -> Iterator[tuple[datetime | None, str]]:
    for letter in message["dead_letters"]:
        yield letter["created_at"], f"dead: {letter['reason']}"
        yield letter["replayed_at"], "replayed"
        yield letter["dismissed_at"], "dismissed"


def _named(attempt: Mapping[str, Any]) -> str:
    outcome, code = attempt["outcome"] or "open", attempt["error_code"]
    return outcome if code in (None, outcome) else f"{outcome}, {code}"


def _ms(before: datetime, at: datetime) -> int:
    return round((at - before).total_seconds() * 1000)
