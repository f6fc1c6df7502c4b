"""From publications and answers to bytes. Pure; what stays from message to message is encoded once."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from pamqp import encode
from pamqp.commands import Basic
from pamqp.frame import marshal

from shared.amqp.delivery import Publication
from shared.amqp.frames.reading import AROUND, BODY, HEADER, METHOD
from shared.amqp.properties import APP_ID, CONTENT_TYPE, PERSISTENT, UNWRITABLE, write_header
from shared.errors import Unpublishable

_HEAD: Final = Struct(">BHI")
_END: Final = b"\xce"
#: Class `basic`, weight, bytes of the body, which properties follow.
_FACTS: Final = Struct(">HHQH")
_BASIC: Final = 60
#: content_type, headers, delivery_mode, correlation_id, message_id, timestamp, type, app_id.
_FLAGS: Final = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 10 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 3
_ACK: Final = Struct(">BHIHHQBB")
_NACK_ALONE: Final = 2  # requeue, not multiple


@lru_cache(maxsize=4096)
def _short_text(value: str) -> bytes:
    return encode.short_string(value)


_CONTENT_TYPE: Final = _short_text(CONTENT_TYPE)
_DELIVERY_MODE: Final = bytes([PERSISTENT])
_APP_ID: Final = _short_text(APP_ID)


def write_table(table: dict[str, Any]) -> bytes:
    """A table with its length. Raises one of UNWRITABLE."""
    parts: list[bytes] = []
    for name, value in table.items():
        parts.append(_short_text(name))
        if type(value) is str:
            raw = value.encode()
            parts += (b"S", len(raw).to_bytes(4), raw)
        else:
            parts.append(encode.encode_table_value(value))
    encoded = b"".join(parts)
    return len(encoded).to_bytes(4) + encoded


class FramesHeaderWriter:
    """See `shared.amqp.properties.HeaderWriter`; of one channel, for what is published now."""

    def __init__(self, channel: int, now: datetime) -> None:
        self._channel = channel
        self._now = int(now.timestamp()).to_bytes(8)

    def write(self, item: Publication, headers: dict[str, Any], message_id: str) -> bytes:
        """The frame; see `shared.amqp.properties.HeaderWriter`."""
        payload = b"".join(
            (
                _FACTS.pack(_BASIC, 0, len(item.body), _FLAGS),
                _CONTENT_TYPE,
                write_table(headers),
                _DELIVERY_MODE,
                encode.short_string(item.correlation_id),
                encode.short_string(message_id),
                self._now,
                _short_text(item.type),
                _APP_ID,
            )
        )
        return _HEAD.pack(HEADER, self._channel, len(payload)) + payload + _END

    def can_write(self, name: str, value: object) -> bool:
        """Whether a table takes it."""
        try:
            write_table({name: value})
        except UNWRITABLE:
            return False
        return True


def write_publication(
    writer: FramesHeaderWriter, channel: int, frame_max: int, item: Publication, message_id: str
) -> list[bytes]:
    """The frames of one publication. Raises Unpublishable."""
    try:
        parts = [_publish_frame(channel, item.exchange, item.routing_key, item.mandatory)]
    except UNWRITABLE as error:
        raise Unpublishable(f"no frame takes its names ({type(error).__name__})") from None
    parts.append(write_header(writer, frame_max, item, message_id))
    body, largest = item.body, frame_max - AROUND
    for start in range(0, len(body), largest):
        part = body[start : start + largest]
        parts += (_HEAD.pack(BODY, channel, len(part)), part, _END)
    return parts


@lru_cache(maxsize=4096)
def _publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory), channel)


def write_acks(channel: int, upto: int | None, single: Iterable[int]) -> bytes:
    """One for everything up to a tag, and one each for the single ones."""
    pack = _ACK.pack
    frames = [pack(METHOD, channel, 13, _BASIC, 80, tag, 0, 0xCE) for tag in single]
    if upto is not None:
        frames.insert(0, pack(METHOD, channel, 13, _BASIC, 80, upto, 1, 0xCE))
    return b"".join(frames)


def write_requeues(channel: int, tags: Iterable[int]) -> bytes:
    """Each of them is given back."""
    return b"".join(_ACK.pack(METHOD, channel, 13, _BASIC, 120, tag, _NACK_ALONE, 0xCE) for tag in tags)
