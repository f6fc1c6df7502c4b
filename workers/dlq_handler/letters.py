"""From a delivery of the queue `dlq-handler` to a dead letter.

Owns reading where a message died and why: ours come with `x-wabus-*` headers, what the broker killed with
`x-death`, what no queue was bound for under the exchange it was published to. Never fails, whatever the
delivery holds: a dead letter has nowhere to go but the database.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

from shared.amqp.delivery import (
    ATTEMPTS,
    DELIVERY_COUNT,
    ERROR,
    FIRST_SEEN,
    IDEMPOTENCY_KEY,
    MESSAGE_ID,
    REASON,
    REPLAY_OF,
    SOURCE_QUEUE,
    Delivery,
)
from shared.amqp.headers import KEY_SEPARATOR, MADE_KEY, correlation_of
from shared.amqp.topology import DLX, LANES, STATUS_UPDATER, describe_unrouted
from shared.deadletters.storing import DeadLetter, clean_text
from shared.ids import read_uuid
from shared.messaging.messages import event_of, rejection_key
from shared.payloads import InvalidPayload, StatusUpdate, decode
from shared.reasons import DeadReason

#: Between the digest of a message and its delivery, where nothing else tells two messages apart.
SEPARATOR: Final = ":"

_KILLED: Final = {
    "delivery_limit": (DeadReason.DELIVERY_LIMIT, "delivered again and again without an acknowledgement"),
    "expired": (DeadReason.EXPIRED, "its time to live in the queue ran out"),
    "rejected": (DeadReason.UNEXPECTED_ERROR, "rejected by a consumer that is not ours"),
}


@dataclass(frozen=True, slots=True)
class Death:
    """Where and why. `key`: of our settlement's publish, the same for each repetition of it."""

    key: str | None
    reason: DeadReason
    error: str
    source_queue: str
    exchange: str
    routing_key: str
    attempts: int


def read_letter(delivery: Delivery, reader: str) -> DeadLetter:
    """The dead letter that this delivery is. `reader` is unique to whoever reads the queue in this process.

    The same delivery gives the same `dedupe_key` each time.
    """
    death = read_death(delivery)
    rejection = _rejection_key(delivery, death)
    message_id = read_uuid(delivery.headers.get(MESSAGE_ID))
    return DeadLetter(
        id=uuid4(),
        dedupe_key=rejection
        or _failure_key(delivery, death, message_id)
        or _dedupe_key(delivery, death, reader),
        source_queue=death.source_queue,
        exchange=death.exchange,
        routing_key=death.routing_key,
        reason=death.reason,
        error_message=death.error,
        raw_body=delivery.body,
        headers={name: value for name, value in delivery.headers.items() if name != DELIVERY_COUNT},
        attempts=int(death.attempts),
        correlation_id=correlation_of(delivery),
        message_id=message_id,
        replay_of=read_uuid(delivery.headers.get(REPLAY_OF)),
        publish_id=None if rejection else _publish_id(delivery),
    )


def read_death(delivery: Delivery) -> Death:
    """Where and why this message died."""
    deaths = delivery.headers.get("x-death")
    through_dlx = delivery.exchange == DLX
    if through_dlx and isinstance(deaths, list):
        return _killed(delivery, deaths)
    if through_dlx or REASON in delivery.headers or not delivery.exchange:
        return _died_with_us(delivery)
    return Death(
        key=None,
        reason=DeadReason.UNROUTED,
        error=describe_unrouted(delivery.exchange, delivery.routing_key),
        source_queue=delivery.exchange,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        attempts=delivery.attempt,
    )


def may_be_stored(delivery: Delivery) -> bool:
    """Whether an earlier delivery of this message may have been stored, under its digest and a suffix."""
    key = read_death(delivery).key
    if key is None:
        return delivery.redelivered
    return key.startswith(MADE_KEY) and KEY_SEPARATOR not in key


def shared_part(dedupe_key: str) -> str | None:
    """What the key of a first delivery shares with that of its redelivery; None where it is its own."""
    shared, separator, _ = dedupe_key.partition(SEPARATOR)
    return shared if separator else None


def simplified(letter: DeadLetter) -> DeadLetter:
    """The same without whatever PostgreSQL may have refused; the bytes of the body are kept."""
    return replace(
        letter,
        source_queue=_ascii(letter.source_queue),
        exchange=_ascii(letter.exchange),
        routing_key=_ascii(letter.routing_key),
        error_message=_ascii(letter.error_message),
        headers={"unreadable": _ascii(repr(letter.headers))[:100_000]},
        opaque=True,
    )


def _killed(delivery: Delivery, deaths: list[Any]) -> Death:
    """By the broker. Its newest entry of the queue counts; the tiers that a retry passed leave others."""
    queue = delivery.routing_key
    entries = [entry for entry in deaths if isinstance(entry, Mapping)]
    entry = next((entry for entry in entries if entry.get("queue") == queue), {})
    keys = entry.get("routing-keys")
    kind = str(entry.get("reason", "unknown"))
    reason, error = _KILLED.get(kind, (DeadReason.UNEXPECTED_ERROR, f"dead-lettered by RabbitMQ ({kind})"))
    origin = replace(
        delivery,
        exchange=str(entry.get("exchange", "")),
        routing_key=str(keys[0]) if isinstance(keys, list) and keys else queue,
    )
    return Death(
        key=None,
        reason=reason,
        error=error,
        source_queue=queue,
        exchange=origin.origin_exchange,
        routing_key=origin.origin_routing_key,
        attempts=delivery.attempt,
    )


def _died_with_us(delivery: Delivery) -> Death:
    headers = delivery.headers
    given = str(headers.get(REASON, ""))
    known = given in DeadReason.__members__.values()
    attempts = headers.get(ATTEMPTS)
    key = headers.get(IDEMPOTENCY_KEY)
    return Death(
        key=key if isinstance(key, str) and key else None,
        reason=DeadReason(given) if known else DeadReason.UNEXPECTED_ERROR,
        error=str(headers.get(ERROR, "")) if known else f"dead without a known reason: {given or 'none'}",
        source_queue=str(headers.get(SOURCE_QUEUE, delivery.routing_key)),
        exchange=delivery.origin_exchange,
        routing_key=delivery.origin_routing_key,
        attempts=attempts if isinstance(attempts, int) and 0 <= attempts < 1000 else delivery.attempt,
    )


def _rejection_key(delivery: Delivery, death: Death) -> str | None:
    """The key of a status that can never apply to its message; None for any other death.

    Platforms repeat an event for days, each time as another delivery, before and after somebody has settled
    its dead letter; and the scheduler may have found it out first.
    """
    if (death.source_queue, death.reason) != (STATUS_UPDATER, DeadReason.STATE_VIOLATION):
        return None
    try:
        update = decode(StatusUpdate, delivery.body)
    except InvalidPayload:
        return None
    event = event_of(update, death.routing_key, correlation_of(delivery))
    return rejection_key(event, read_uuid(delivery.headers.get(REPLAY_OF)))


def _failure_key(delivery: Delivery, death: Death, message_id: UUID | None) -> str | None:
    """The key of an outbound message that failed; None for any other death.

    It fails once, though it came twice: where its worker ended before it told of the death, each of its
    deliveries tells of it. The body stands in it, too: a publisher may have written our header.
    """
    if message_id is None or death.key is None or death.source_queue not in LANES:
        return None
    digest = hashlib.sha256(delivery.body)
    for part in (message_id, death.reason, death.source_queue, delivery.headers.get(REPLAY_OF, "")):
        digest.update(f"\0{part}".encode("utf-8", "replace"))
    return f"failed{SEPARATOR}{digest.hexdigest()}"


def _publish_id(delivery: Delivery) -> str | None:
    return None if delivery.message_id is None else clean_text(delivery.message_id)


def _dedupe_key(delivery: Delivery, death: Death, reader: str) -> str:
    """The same on repetition, another for another message, even one that looks the same.

    Ours may come twice, as two publishes under one key (its worker ended before the acknowledgement). Of
    others only a redelivery repeats: a first delivery has a key of its own, and a redelivery the digest by
    which an earlier one is found. The same of ours that came without any id.
    """
    headers = delivery.headers
    key, own = _split(death.key)
    parts = (
        key or delivery.message_id,
        death.source_queue,
        death.exchange,
        death.routing_key,
        str(death.attempts),
        str(headers.get(REPLAY_OF, "")),
        str(headers.get(FIRST_SEEN) if death.key else delivery.published_at),
    )
    digest = hashlib.sha256(delivery.body)
    for part in parts:
        digest.update(f"\0{part}".encode("utf-8", "replace"))
    if own:
        return SEPARATOR.join((digest.hexdigest(), own))
    if death.key or delivery.redelivered:
        return digest.hexdigest()
    return SEPARATOR.join((digest.hexdigest(), reader, str(delivery.generation), str(delivery.tag)))


def _split(key: str | None) -> tuple[str | None, str]:
    """A key that we made: what repetitions share, and what is the first delivery's own."""
    if key is None or not key.startswith(MADE_KEY):
        return key, ""
    shared, _, own = key.partition(KEY_SEPARATOR)
    return shared, clean_text(own)


def _ascii(text: str) -> str:
    return clean_text(text).encode("ascii", "backslashreplace").decode()
