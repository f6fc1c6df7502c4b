"""The properties of what we publish, and which headers it goes without where a frame does not take all.

All properties of a message stand in one frame, whose size the server decides (`frame_max`: 128 KiB, or as
little as 4 KiB). What is larger would cost the connection, and be published again, in front of all others.
The rule: first go headers that are not ours, the largest first; then the text of the error is cut; then the
list of what went. What is ours is small and always fits. Pure: an implementation writes the frame.
"""

import struct
from typing import Any, Final, Protocol

from shared.amqp.delivery import (
    ATTEMPT,
    ATTEMPTS,
    DEFERRED_ID,
    ECHO,
    ERROR,
    EXCHANGE,
    FIRST_SEEN,
    IDEMPOTENCY_KEY,
    MESSAGE_ID,
    REASON,
    REPLAY_OF,
    ROUTING_KEY,
    SOURCE_QUEUE,
    TRACEPARENT,
    Publication,
)
from shared.errors import Unpublishable
from shared.observability.tracing import read_trace

CONTENT_TYPE: Final = "application/json"
#: `delivery_mode` of what survives a restart of the broker.
PERSISTENT: Final = 2
APP_ID: Final = "wabus"
#: What whoever writes a frame raises for a value that no frame takes.
UNWRITABLE: Final = (TypeError, ValueError, OverflowError, struct.error)
#: Names of the headers that a message went without.
DROPPED_HEADERS: Final = "x-wabus-dropped-headers"
#: Ours, without which a copy would be another message; of a size that we write.
_KEPT: Final = frozenset(
    {
        ATTEMPT,
        ATTEMPTS,
        DEFERRED_ID,
        ECHO,
        EXCHANGE,
        FIRST_SEEN,
        IDEMPOTENCY_KEY,
        MESSAGE_ID,
        REASON,
        REPLAY_OF,
        ROUTING_KEY,
        SOURCE_QUEUE,
        TRACEPARENT,
        "x-wabus-status-retry",
    }
)
#: A name of AMQP has 255 bytes at most; a publisher may have written more under a name of ours.
_KEPT_BYTES: Final = 300
_TOLD_CHARACTERS: Final = 500


class HeaderWriter(Protocol):
    """How an implementation writes the frame of a publication's properties."""

    def write(self, item: Publication, headers: dict[str, Any], message_id: str) -> bytes:
        """The frame, with these headers in place of the publication's own. Raises one of UNWRITABLE."""
        ...

    def can_write(self, name: str, value: object) -> bool:
        """Whether a frame of any size takes this header."""
        ...


def write_header(writer: HeaderWriter, frame_max: int, item: Publication, message_id: str) -> bytes:
    """The frame of a publication's properties, with as many of its headers as it takes.

    Raises Unpublishable where what is ours does not fit.
    """
    trace = read_trace(item.correlation_id, item.headers.get(TRACEPARENT))
    anew = {
        TRACEPARENT: item.traceparent or trace.traceparent(),
        ATTEMPT: item.attempt,
        IDEMPOTENCY_KEY: item.idempotency_key,
    }
    headers = item.headers | anew
    while True:
        try:
            frame = writer.write(item, headers, message_id)
        except UNWRITABLE as error:
            strange = [name for name, value in headers.items() if not writer.can_write(name, value)]
            if not strange or anew.keys() & strange:
                raise Unpublishable(f"no frame takes its properties ({type(error).__name__})") from None
            headers = _without(headers, strange)
            continue
        excess = len(frame) - frame_max
        if excess <= 0:
            return frame
        smaller = _shortened(headers, excess)
        if smaller is None:
            raise Unpublishable("its headers are larger than a frame")
        headers = smaller


def _shortened(headers: dict[str, Any], excess: int) -> dict[str, Any] | None:
    """Headers that are smaller by `excess` bytes, or as near to it as the next step comes; None at the end.

    To be repeated until they fit: what is counted here is not exact.
    """
    sizes = {name: _size(name) + _size(value) for name, value in headers.items()}
    foreign = [name for name, size in sizes.items() if not _is_ours(name, size)]
    gone: list[str] = []
    for name in sorted(foreign, key=lambda name: sizes[name], reverse=True):
        if excess <= 0:
            break
        gone.append(name)
        excess -= sizes[name]
    if gone:
        return _without(headers, gone)
    if error := headers.get(ERROR):
        raw = str(error).encode("utf-8", "replace")
        return headers | {ERROR: raw[: max(0, len(raw) - excess)].decode("utf-8", "ignore")}
    if DROPPED_HEADERS in headers:
        return {name: value for name, value in headers.items() if name != DROPPED_HEADERS}
    return None


def _without(headers: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Headers without these, which one of them then tells, after those that went earlier."""
    earlier = headers.get(DROPPED_HEADERS)
    told = ", ".join([*([earlier] if isinstance(earlier, str) else []), *names])[:_TOLD_CHARACTERS]
    kept = {name: value for name, value in headers.items() if name not in names}
    return kept | {DROPPED_HEADERS: told.encode("utf-8", "replace").decode()}


def _is_ours(name: str, size: int) -> bool:
    return name in (ERROR, DROPPED_HEADERS) or (name in _KEPT and size < _KEPT_BYTES)


def _size(value: Any) -> int:
    """Bytes of a plain value in a table, roughly."""
    match value:
        case str():
            return 5 + len(value.encode("utf-8", "surrogatepass"))
        case dict():
            return 5 + sum(_size(name) + _size(item) for name, item in value.items())
        case list():
            return 5 + sum(map(_size, value))
        case _:
            return 9
