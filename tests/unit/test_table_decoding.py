"""Values in a header table are read as the client library reads them, whatever their bytes."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode

from shared.amqp.decoding import read_table

#: Ours on purpose: nested values have a depth, and a time need not be in the calendar.
KINDS: Final = sorted(decode.TABLE_MAPPING.keys() - {b"A", b"F", b"T"})


def in_a_table(value: bytes) -> bytes:
    entry = b"\x01n" + value
    return len(entry).to_bytes(4) + entry


def read_or_refuse(value: bytes) -> str:
    try:
        _, table = read_table(in_a_table(value))
    except ValueError:
        return "refused"
    return repr(table)


def expect(value: bytes) -> str:
    """By the library; bytes behind a value are the next name, which these are too short for, or void."""
    try:
        consumed, item = decode.embedded_value(value)
    except ValueError:
        return "refused"
    return repr({"n": item}) if consumed >= len(value) else "more"


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=12))
def test_a_value_of_any_kind_is_what_the_library_reads(kind: bytes, data: bytes) -> None:
    expected = expect(kind + data)

    if expected != "more":
        assert read_or_refuse(kind + data) == expected


@pytest.mark.parametrize("kind", [b"S", b"x"])
@given(data=st.binary(max_size=300))
def test_texts_and_bytes_are_what_the_library_reads(kind: bytes, data: bytes) -> None:
    written = kind + len(data).to_bytes(4) + data

    assert read_or_refuse(written) == expect(written)


def test_values_follow_each_other() -> None:
    entries: dict[str, tuple[bytes, Any]] = {
        "text": (b"S\x00\x00\x00\x02hi", "hi"),
        "truth": (b"t\x01", True),
        "nothing": (b"V", None),
        "number": (b"l" + (5).to_bytes(8), 5),
        "list": (b"A\x00\x00\x00\x04b\xffb\x02", [-1, 2]),
        "table": (b"F\x00\x00\x00\x04\x01nt\x00", {"n": False}),
        "last": (b"T" + (0).to_bytes(8), None),
    }
    wire = b"".join(bytes([len(name)]) + name.encode() + value for name, (value, _) in entries.items())

    _, table = read_table(len(wire).to_bytes(4) + wire)

    assert str(table.pop("last")) == "1970-01-01 00:00:00+00:00"
    assert table == {name: value for name, (_, value) in entries.items() if name != "last"}


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no known kind"):
        read_table(in_a_table(b"?1234"))
