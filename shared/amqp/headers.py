"""What a delivery's headers mean to us, and which of them travel along when we publish it again."""

import base64
import hashlib
from typing import Any, Final
from uuid import uuid4

from shared.amqp.delivery import (
    ATTEMPT,
    DEFERRED_ID,
    DELIVERY_COUNT,
    EXCHANGE,
    FIRST_SEEN,
    IDEMPOTENCY_KEY,
    ROUTING_KEY,
    TRACEPARENT,
    Delivery,
)
from shared.observability.tracing import Trace, read_trace

#: Ours to set anew on each publish, or the broker's own history of deaths, which must not travel.
_NOT_CARRIED = frozenset({ATTEMPT, IDEMPOTENCY_KEY, DEFERRED_ID, DELIVERY_COUNT, "CC", "BCC"})
#: pamqp writes floats in 32 bits; one that does not fit would cost the connection.
_LARGEST_FLOAT = 3.4e38
_BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-")
_KEY_BYTES = 255
#: How a key begins that we made for a message without any, and what follows the part that repetitions share.
MADE_KEY: Final = "made-"
KEY_SEPARATOR: Final = ":"


def carried_headers(delivery: Delivery) -> dict[str, Any]:
    """Headers of the next copy: the publisher's own, and where it first came from and when."""
    kept = {
        name: plain(value)
        for name, value in delivery.headers.items()
        if name not in _NOT_CARRIED and not name.startswith(_BROKERS_OWN)
    }
    kept[EXCHANGE] = delivery.origin_exchange
    kept[ROUTING_KEY] = delivery.origin_routing_key
    if FIRST_SEEN not in kept and delivery.published_at is not None:
        kept[FIRST_SEEN] = int(delivery.published_at)
    return kept


def plain(value: Any) -> Any:
    """A header's value as JSON knows it; AMQP also has bytes, times and decimals."""
    match value:
        case float() if not abs(value) <= _LARGEST_FLOAT:
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def correlation_of(delivery: Delivery) -> str:
    """The trace id: as the publisher gave it, or one of its own, the same whenever it is asked for."""
    return trace_of(delivery).trace_id


def trace_of(delivery: Delivery) -> Trace:
    """The trace of a delivery, the same whenever it is asked for."""
    seed = (delivery.message_id or delivery.origin_routing_key).encode("utf-8", "replace")
    return read_trace(delivery.correlation_id, delivery.headers.get(TRACEPARENT), seed + delivery.body)


def idempotency_key_of(delivery: Delivery) -> str:
    """The same for each repetition: the publisher's key, else its message id, else one that we make."""
    given = bounded_key(delivery.headers.get(IDEMPOTENCY_KEY)) or bounded_key(delivery.message_id)
    return given or _made_key(delivery)


def _made_key(delivery: Delivery) -> str:
    """A key for what came without any; once published under it the message keeps it.

    Nothing tells two equal messages apart but that one of them is delivered again. So a first delivery has
    its own, and a redelivery the beginning of it, by which whoever stores both finds the first.
    """
    digest = hashlib.sha256(delivery.body)
    for part in (delivery.origin_exchange, delivery.origin_routing_key, delivery.published_at):
        digest.update(f"\0{part}".encode("utf-8", "replace"))
    made = f"{MADE_KEY}{digest.hexdigest()}"
    return made if delivery.redelivered else f"{made}{KEY_SEPARATOR}{uuid4()}"


def bounded_key(key: Any) -> str | None:
    """An idempotency key as it can be published and stored; of one too long, or with a NUL, a digest."""
    if not isinstance(key, str) or not key:
        return None
    raw = key.encode("utf-8", "surrogatepass")
    return key if len(raw) <= _KEY_BYTES and b"\0" not in raw else hashlib.sha256(raw).hexdigest()


def trace_headers(delivery: Delivery) -> dict[str, Any]:
    """Headers with which what follows from a delivery stays in its trace."""
    traceparent = delivery.headers.get(TRACEPARENT)
    return {TRACEPARENT: traceparent} if isinstance(traceparent, str) else {}
