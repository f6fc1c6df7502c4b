"""Storing dead letters: raw bytes always, JSON where PostgreSQL takes it.

Owns the insert into `dead_letter_queue` and the event `deadletter.stored`, for the handler of the queue and
for whoever decides a message's death in the database. Listing, replaying and dismissing are
`shared.deadletters`'.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Final
from uuid import UUID

import orjson

from shared.amqp.topology import LANES
from shared.durable.outbox import OutboxEvent, event
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import DLQMessage, encode
from shared.payloads.clock import CLOCK
from shared.postgres.database import Connection
from shared.postgres.queries import Queries
from shared.reasons import DeadReason

logger = get_logger(__name__)
_QUERIES = Queries("shared.deadletters", "storing.sql")
#: Which dead letters an operator sees first: what a customer waits for.
_PRIORITY = {"outbound-sender": 2, "inbound-resolver": 2, "outbound-sender.utility": 1}
#: What an event carries of a body: more than any text has. Who wants the rest reads the database.
_EVENT_BODY_BYTES: Final = 64 * 1024
_HEADER_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead message. `dedupe_key` stays on repetition.

    `replay_of` is the dead letter whose replay this was; stored is the first of that chain. `publish_id` is
    the AMQP message id under which it came; without one its key stands for good. `opaque`: do not look for
    JSON in the body.
    """

    id: UUID
    dedupe_key: str
    source_queue: str
    exchange: str
    routing_key: str
    reason: DeadReason
    error_message: str
    raw_body: bytes
    headers: dict[str, Any]
    attempts: int
    correlation_id: str
    message_id: UUID | None = None
    replay_of: UUID | None = None
    publish_id: str | None = None
    opaque: bool = False


async def store_dead_letters(connection: Connection, letters: Sequence[DeadLetter]) -> list[OutboxEvent]:
    """Store in the caller's transaction, each once; returns the events to record for those that are new.

    An event's `aggregate_id` is the id of its dead letter. A key that a settled dead letter holds counts as
    new where it comes under another `publish_id`: the message was published, and died, again.
    """
    if not letters:
        return []
    texts = [None if letter.opaque else json_of(letter.raw_body) for letter in letters]
    keys = sorted({(letter.dedupe_key, letter.publish_id) for letter in letters}, key=str)
    await connection.execute(_QUERIES["free_settled_keys"], *map(list, zip(*keys, strict=True)))
    columns = zip(*map(_row, letters, texts), strict=True)
    stored = {row["id"] for row in await connection.fetch(_QUERIES["store"], *map(list, columns))}
    pairs = zip(letters, texts, strict=True)
    return [stored_event(letter, text) for letter, text in pairs if letter.id in stored]


#: What may stand around a body: a list of dead letters, each with its payload.
_INSIDE: Final = b"[[[["


def json_of(body: bytes) -> str | None:
    """The body as JSON that PostgreSQL's jsonb takes; None where it is none, or holds what jsonb cannot.

    None, too, where it is nested too deep to be told inside of something else: it is written as deep as that.
    """
    deep = len(_INSIDE)
    try:
        text = orjson.dumps([[[[orjson.loads(body)]]]])[deep:-deep].decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None
    return None if "\\u0000" in text else text


def raw_base64(body: bytes) -> str:
    """The body in `raw_body_base64`."""
    return base64.b64encode(body).decode()


def clean_text(text: str) -> str:
    """What PostgreSQL takes of a text: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def clean_headers(headers: dict[str, Any]) -> dict[str, Any]:
    """Headers as jsonb takes them; values without a JSON form become text."""
    return {clean_text(name): _clean(value, _HEADER_DEPTH) for name, value in headers.items()}


def _clean(value: Any, depth: int) -> Any:
    match value:
        case str():
            return clean_text(value)
        case None | bool():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case float():
            return value if isfinite(value) else str(value)
        case bytes() | bytearray():
            return raw_base64(bytes(value))
        case dict() if depth:
            return {clean_text(str(name)): _clean(item, depth - 1) for name, item in value.items()}
        case list() | tuple() if depth:
            return [_clean(item, depth - 1) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return clean_text(str(value))


def _row(letter: DeadLetter, text: str | None) -> tuple[Any, ...]:
    metadata = {"correlation_id": letter.correlation_id, "message_id": letter.publish_id}
    return (
        letter.id,
        letter.dedupe_key,
        clean_text(letter.source_queue),
        clean_text(letter.exchange),
        clean_text(letter.routing_key),
        letter.reason.value,
        clean_text(letter.error_message),
        text,
        letter.raw_body,
        orjson.dumps(clean_headers(letter.headers)).decode(),
        letter.attempts,
        _PRIORITY.get(letter.source_queue, 0),
        letter.message_id,
        letter.replay_of,
        orjson.dumps(clean_headers(metadata)).decode(),
    )


def tell_stored(letters: Iterable[DeadLetter], level: int) -> None:
    """A line for each that is new, once it is committed: by its id an operator finds it."""
    for letter in letters:
        logger.log(
            level,
            "dead letter of %s stored as %s: %s",
            letter.source_queue,
            letter.reason,
            letter.error_message,
            extra=fields(
                operation=Operation.DEAD_LETTER_STORING,
                trace_id=letter.correlation_id,
                message_id=letter.message_id,
                lane=LANES.get(letter.source_queue),
                attempt=letter.attempts,
                code=letter.reason,
                dead_letter_id=letter.id,
            ),
        )


def stored_event(letter: DeadLetter, text: str | None) -> OutboxEvent:
    """`deadletter.stored`, with no more of the body than an event carries. `text`: the body's `json_of`."""
    too_large = len(letter.raw_body) > _EVENT_BODY_BYTES
    payload = None if text is None or too_large else orjson.loads(text)
    message = DLQMessage(
        id=letter.id,
        original_payload=payload,
        raw_body_base64=raw_base64(letter.raw_body[:_EVENT_BODY_BYTES]) if payload is None else None,
        raw_body_cut=True if too_large else None,
        reason=letter.reason,
        error_message=clean_text(letter.error_message),
        retry_count=max(0, letter.attempts - 1),
        timestamp=CLOCK.now(),
        source_queue=clean_text(letter.source_queue),
        routing_key=clean_text(letter.routing_key),
        headers=clean_headers(letter.headers),
    )
    return event(
        "deadletter.stored",
        encode(message),
        aggregate=("dead_letter", letter.id),
        correlation_id=letter.correlation_id,
    )
