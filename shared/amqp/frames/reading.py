"""From bytes to frames, and from frames to messages. Pure: knows no socket.

Owns that a frame may be split at any byte, that channels take turns, and that a body may come in many frames.
"""

import struct
from datetime import datetime
from struct import Struct
from typing import Any, Final, NamedTuple

from shared.amqp.decoding import read_headers, read_short_text, read_time

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
#: Class and method of those whose content follows, and of the answers to publications.
DELIVER: Final = b"\x00\x3c\x00\x3c"
RETURN: Final = b"\x00\x3c\x00\x32"
ACK: Final = b"\x00\x3c\x00\x50"
NACK: Final = b"\x00\x3c\x00\x78"

_HEAD: Final = Struct(">BHI")
#: Bytes of a frame around its payload.
AROUND: Final = _HEAD.size + 1
_END: Final = 0xCE
_KINDS: Final = frozenset((METHOD, HEADER, BODY, HEARTBEAT))
#: No RabbitMQ lets a message be larger, however it is set.
_LARGEST_BODY: Final = 512 * 1024 * 1024
_HEADER_FACTS: Final = Struct(">QH")
_TAG: Final = Struct(">QB")

_CUT_OFF: Final = (ValueError, LookupError, struct.error)

#: Kind, channel, payload.
Frame = tuple[int, int, bytes]


class MalformedFrames(ConnectionError):  # noqa: N818 - says what happened, as the error tree does
    """The bytes are no frames of AMQP 0-9-1, or not in an order that it allows."""


class FrameReader:
    """Parts a stream into frames. `frame_max`: bytes of the largest that may come, as negotiated."""

    def __init__(self, frame_max: int) -> None:
        self.frame_max = frame_max
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises MalformedFrames; nothing may be fed after that."""
        buffer = self._rest + data if self._rest else data
        at, end, frames = 0, len(buffer), []
        unpack, head = _HEAD.unpack_from, _HEAD.size
        while end - at >= head:
            kind, channel, size = unpack(buffer, at)
            if kind not in _KINDS:
                raise MalformedFrames("no frame of AMQP 0-9-1")
            if size + AROUND > self.frame_max:
                raise MalformedFrames(f"a frame of {size + AROUND} bytes")
            last = at + head + size
            if last >= end:
                break
            if buffer[last] != _END:
                raise MalformedFrames("a frame without its end")
            frames.append((kind, channel, buffer[at + head : last]))
            at = last + 1
        self._rest = buffer[at:]
        return frames


class MessageContent(NamedTuple):
    """A message: the payloads of its method and its header, and its body."""

    method: bytes
    header: bytes
    body: bytes


class ContentReader:
    """Puts the frames of one channel's messages together."""

    def __init__(self) -> None:
        self._method: bytes | None = None
        self._header = b""
        self._missing = 0
        self._parts: list[bytes] = []

    def begin(self, method: bytes) -> None:
        """A method whose content follows. Raises MalformedFrames while another's does."""
        if self._method is not None:
            raise MalformedFrames("a message began within another")
        self._method = method

    def add(self, kind: int, payload: bytes) -> MessageContent | None:
        """One more frame of it; the message where that was the last. Raises MalformedFrames."""
        if self._method is None:
            raise MalformedFrames("content without a method")
        if kind == HEADER:
            if self._header or len(payload) < 14:
                raise MalformedFrames("a header out of place")
            self._header = payload
            self._missing = int.from_bytes(payload[4:12])
            if self._missing > _LARGEST_BODY:
                raise MalformedFrames(f"a body of {self._missing} bytes")
        else:
            if kind != BODY:
                raise MalformedFrames("a heartbeat on a channel")
            if not self._header or not payload:
                raise MalformedFrames("a body out of place")
            self._parts.append(payload)
            self._missing -= len(payload)
        if self._missing > 0:
            return None
        if self._missing < 0:
            raise MalformedFrames("a body longer than its header says")
        parts = self._parts
        content = MessageContent(self._method, self._header, parts[0] if len(parts) == 1 else b"".join(parts))
        self._method, self._header, self._parts = None, b"", []
        return content


class DeliveryRoute(NamedTuple):
    """What `basic.deliver` says of a message."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str


def read_route(method: bytes) -> DeliveryRoute:
    """Of the payload of a `basic.deliver`. Raises MalformedFrames."""
    try:
        at = 5 + method[4]
        tag, redelivered = _TAG.unpack_from(method, at)
        size, exchange = read_short_text(method[at + 9 :])
        return DeliveryRoute(tag, bool(redelivered), exchange, read_short_text(method[at + 9 + size :])[1])
    except _CUT_OFF:
        raise MalformedFrames("a delivery that is cut off") from None


def read_confirm(method: bytes) -> tuple[int, bool]:
    """Tag and whether it answers for all below, of a `basic.ack` or `basic.nack`. Raises MalformedFrames."""
    try:
        tag, bits = _TAG.unpack_from(method, 4)
    except _CUT_OFF:
        raise MalformedFrames("a confirm that is cut off") from None
    return tag, bool(bits & 1)


class ReadProperties(NamedTuple):
    """Those that a delivery keeps."""

    headers: dict[str, Any]
    correlation_id: str | None
    message_id: str | None
    timestamp: datetime | None


#: All properties in the order in which they are written: bit, and whether a short text.
_SHORT_TEXT, _TABLE, _OCTET, _TIME = range(4)
_PROPERTIES: Final = (
    (1 << 15, "content_type", _SHORT_TEXT),
    (1 << 14, "content_encoding", _SHORT_TEXT),
    (1 << 13, "headers", _TABLE),
    (1 << 12, "delivery_mode", _OCTET),
    (1 << 11, "priority", _OCTET),
    (1 << 10, "correlation_id", _SHORT_TEXT),
    (1 << 9, "reply_to", _SHORT_TEXT),
    (1 << 8, "expiration", _SHORT_TEXT),
    (1 << 7, "message_id", _SHORT_TEXT),
    (1 << 6, "timestamp", _TIME),
)


def read_properties(header: bytes) -> ReadProperties:
    """Of the payload of a content header; see `read_headers` for its table. Raises MalformedFrames."""
    try:
        return _read_properties(header)
    except _CUT_OFF:
        raise MalformedFrames("properties that are cut off") from None


def _read_properties(header: bytes) -> ReadProperties:
    flags = _HEADER_FACTS.unpack_from(header, 4)[1]
    at = 14
    found: dict[str, Any] = {}
    for bit, name, kind in _PROPERTIES:
        if not flags & bit:
            continue
        if kind == _SHORT_TEXT:
            end = at + 1 + header[at]
            if name in ("correlation_id", "message_id"):
                found[name] = read_short_text(header[at:end])[1]
            at = end
        elif kind == _TABLE:
            size, found[name] = read_headers(header[at:])
            at += size
        elif kind == _OCTET:
            at += 1
        else:
            found[name] = read_time(header[at : at + 8])[1]
            at += 8
    if at > len(header):
        raise ValueError("something is missing")
    get = found.get
    return ReadProperties(get("headers") or {}, get("correlation_id"), get("message_id"), get("timestamp"))
