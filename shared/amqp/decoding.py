"""Reading what any publisher may have written: pamqp's decoders, made to survive it.

A property that pamqp cannot decode ends the connection it came by; redelivered, it ends the next one, and
nothing behind it is consumed any more. The broker checks the form of a header table, not that its names are
UTF-8, its times are in the calendar, or its nesting has an end.
"""

import base64
from datetime import UTC, datetime
from typing import Any, Final

from pamqp import decode

#: Tables and lists nested deeper are taken as the bytes they are, in base64.
DEEPEST: Final = 50
#: Kinds of values that begin with their length, and the most bytes that any other has.
_SIZED: Final = (b"F", b"A", b"S", b"x")
_LARGEST_FIXED: Final = 8


class HeaderTable(dict[str, Any]):
    """A table that knows how many bytes it had on the wire: a body's length says nothing of its headers."""

    def __init__(self, wire_bytes: int) -> None:
        super().__init__()
        self.wire_bytes = wire_bytes


def survive_any_publisher() -> None:
    """Replace pamqp's decoders in this process; may be called again."""
    decode.METHODS |= {"shortstr": read_short_text, "table": read_table, "timestamp": read_time}
    decode.TABLE_MAPPING[b"T"] = read_time


def read_short_text(value: bytes) -> tuple[int, str]:
    """Bytes consumed, and the text; what is not UTF-8 stands in it as `\\xff`."""
    end = 1 + value[0]
    return end, value[1:end].decode("utf-8", "backslashreplace")


def read_time(value: bytes) -> tuple[int, datetime | None]:
    """Bytes consumed, and the time; None where it is not in the calendar. Milliseconds are understood."""
    ticks = int.from_bytes(value[:8])
    try:
        return 8, datetime.fromtimestamp(ticks / 1000 if ticks > 0xFFFFFFFF else ticks, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return 8, None


def read_table(value: bytes, depth: int = 0) -> tuple[int, Any]:
    """Bytes consumed, and the table. Raises ValueError where it is longer than what is there."""
    end = _end_of(value)
    if depth > DEEPEST:
        return end, base64.b64encode(value[:end]).decode()
    table = HeaderTable(end)
    offset = 4
    while offset < end:
        consumed, name = read_short_text(value[offset : offset + 256])
        offset += consumed
        consumed, table[name] = _read_value(value, offset, end, depth)
        offset += consumed
    return end, table


def _read_list(value: bytes, depth: int) -> tuple[int, Any]:
    end = _end_of(value)
    if depth > DEEPEST:
        return end, base64.b64encode(value[:end]).decode()
    items = []
    offset = 4
    while offset < end:
        consumed, item = _read_value(value, offset, end, depth)
        offset += consumed
        items.append(item)
    return end, items


def _end_of(value: bytes) -> int:
    """Where a table or list ends that begins with its length."""
    end = 4 + int.from_bytes(value[:4])
    if end > len(value):
        raise ValueError("a table or list is cut off")
    return end


def _read_value(value: bytes, offset: int, end: int, depth: int) -> tuple[int, Any]:
    """The value at `offset`. Only its own bytes are copied: a list may have a hundred thousand."""
    if offset >= end:
        raise ValueError("a value is missing")
    kind = value[offset : offset + 1]
    length = int.from_bytes(value[offset + 1 : offset + 5]) + 4 if kind in _SIZED else _LARGEST_FIXED
    part = value[offset : min(end, offset + 1 + length)]
    match kind:
        case b"F":
            consumed, item = read_table(part[1:], depth + 1)
        case b"A":
            consumed, item = _read_list(part[1:], depth + 1)
        case _:
            return decode.embedded_value(part)
    return consumed + 1, item
