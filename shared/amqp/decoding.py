"""Reading what any publisher may have written into properties, and surviving it.

A property that a client cannot decode ends the connection it came by; redelivered, it ends the next one, and
nothing behind it is consumed any more. The broker checks the form of a header table, not that its names are
UTF-8, its times are in the calendar, or its nesting has an end. Each function takes bytes from where its
value begins. Source of the kinds of values: RabbitMQ's AMQP 0-9-1 errata.
"""

import base64
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import Any, Final

#: Tables and lists nested deeper are taken as the bytes they are, in base64.
DEEPEST: Final = 50
#: Kinds of values that begin with their length: tables, lists, texts, bytes.
_SIZED: Final = (b"S", b"F", b"A", b"x")
_NUMBERS: Final = {
    b"t": Struct(">?"),
    b"b": Struct(">b"),
    b"B": Struct(">B"),
    b"s": Struct(">h"),
    b"u": Struct(">H"),
    b"I": Struct(">i"),
    b"i": Struct(">I"),
    b"l": Struct(">q"),
    b"L": Struct(">q"),
    b"f": Struct(">f"),
    b"d": Struct(">d"),
}
_DECIMAL: Final = Struct(">Bi")
_VOID: Final = (b"V", b"\0")
#: The one header of a message whose own cannot be read: their bytes, in base64.
UNREADABLE: Final = "x-wabus-unreadable-headers"


class HeaderTable(dict[str, Any]):
    """A table that knows how many bytes it had on the wire: a body's length says nothing of its headers."""

    def __init__(self, wire_bytes: int) -> None:
        super().__init__()
        self.wire_bytes = wire_bytes


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


def read_headers(value: bytes) -> tuple[int, HeaderTable]:
    """Bytes consumed, and a message's table: UNREADABLE where no table can be made of its bytes.

    Raises ValueError where it is longer than what is there: then nothing behind it can be read either.
    """
    end = _end_of(value)
    try:
        return end, read_table(value)[1]
    except (ValueError, IndexError):
        table = HeaderTable(end)
        table[UNREADABLE] = base64.b64encode(value[4:end]).decode()
        return end, table


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
    kind, start = value[offset : offset + 1], offset + 1
    if kind in _SIZED:
        return _read_sized(kind, value, start, end, depth)
    if (number := _NUMBERS.get(kind)) is not None:
        _require(start + number.size <= end)
        return 1 + number.size, number.unpack_from(value, start)[0]
    if kind in _VOID:
        return 1, None
    if kind == b"T":
        return 9, read_time(value[start : min(end, start + 8)])[1]
    if kind == b"D":
        _require(start + _DECIMAL.size <= end)
        places, digits = _DECIMAL.unpack_from(value, start)
        return 1 + _DECIMAL.size, Decimal(digits) * (Decimal(10) ** -places)
    raise ValueError("a value is of no known kind")


def _read_sized(kind: bytes, value: bytes, start: int, end: int, depth: int) -> tuple[int, Any]:
    _require(start + 4 <= end)
    size = 4 + int.from_bytes(value[start : start + 4])
    part = value[start : min(end, start + size)]
    if kind == b"F":
        return 1 + size, read_table(part, depth + 1)[1]
    if kind == b"A":
        return 1 + size, _read_list(part, depth + 1)[1]
    if kind == b"x":
        return 1 + size, bytearray(part[4:])
    try:
        return 1 + size, part[4:].decode()
    except UnicodeDecodeError:
        return 1 + size, part[4:]


def _require(is_whole: bool) -> None:
    if not is_whole:
        raise ValueError("a value is cut off")
