"""The codec of AMQP frames: any split, any interleaving, and pamqp reads what it writes and the reverse."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from shared.amqp.delivery import Publication
from shared.amqp.frames.reading import (
    METHOD,
    ContentReader,
    FrameReader,
    MalformedFrames,
    MessageContent,
    read_confirm,
    read_properties,
    read_route,
)
from shared.amqp.frames.writing import FramesHeaderWriter, write_acks, write_publication, write_requeues

FRAME_MAX = 4096
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
names = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
headers = st.dictionaries(names, values, max_size=5)
bodies = st.integers(0, 10_000).map(lambda size: bytes(number % 251 for number in range(size)))
messages = st.lists(st.tuples(st.integers(1, 3), names, headers, bodies), min_size=1, max_size=6)


def frames_of(channel: int, tag: int, key: str, table: dict[str, Any], body: bytes) -> list[bytes]:
    """As the server writes a delivery, by pamqp."""
    properties = commands.Basic.Properties(
        headers=table or None, message_id="m", correlation_id="c", timestamp=NOW, priority=3, reply_to="r"
    )
    size = FRAME_MAX - 8
    return [
        marshal(commands.Basic.Deliver("consumer", tag, tag % 2 == 0, "exchange", key), channel),
        marshal(ContentHeader(body_size=len(body), properties=properties), channel),
        *(marshal(ContentBody(body[at : at + size]), channel) for at in range(0, len(body), size)),
    ]


@given(messages=messages, data=st.data())
def test_messages_are_whole_however_split_and_interleaved(messages: list[Any], data: st.DataObject) -> None:
    lines: dict[int, list[bytes]] = {}
    for tag, (channel, key, table, body) in enumerate(messages, start=1):
        lines.setdefault(channel, []).extend(frames_of(channel, tag, key, table, body))
    stream = b""
    while lines:
        channel = data.draw(st.sampled_from(sorted(lines)))
        stream += lines[channel].pop(0)
        if data.draw(st.booleans()):
            stream += Heartbeat().marshal()
        if not lines[channel]:
            del lines[channel]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))

    got = read([stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)])

    assert set(got) == set(range(1, len(messages) + 1))
    for tag, (_, key, table, body) in enumerate(messages, start=1):
        route, properties = read_route(got[tag].method), read_properties(got[tag].header)
        assert (route.exchange, route.routing_key, route.redelivered) == ("exchange", key, tag % 2 == 0)
        assert got[tag].body == body
        assert properties.headers == table
        assert (properties.message_id, properties.correlation_id, properties.timestamp) == ("m", "c", NOW)


def read(pieces: list[bytes]) -> dict[int, MessageContent]:
    """Contents by tag."""
    reader, channels = FrameReader(FRAME_MAX), {number: ContentReader() for number in range(1, 4)}
    contents: dict[int, MessageContent] = {}
    for piece in pieces:
        for kind, channel, payload in reader.feed(piece):
            if channel and kind == METHOD:
                channels[channel].begin(payload)
            elif channel and (content := channels[channel].add(kind, payload)) is not None:
                contents[read_route(content.method).tag] = content
    return contents


@given(table=headers, body=bodies, key=names, mandatory=st.booleans())
def test_pamqp_reads_what_is_published(table: dict[str, Any], body: bytes, key: str, mandatory: bool) -> None:
    item = Publication("events", key, body, "Type", "key", "trace", mandatory, headers=table)

    stream = b"".join(write_publication(FramesHeaderWriter(5, NOW), 5, FRAME_MAX, item, "id"))

    parts: list[Any] = []
    while stream:
        size, channel, part = unmarshal(stream)
        assert channel == 5
        assert size <= FRAME_MAX
        stream = stream[size:]
        parts.append(part)
    publish, header, *rest = parts
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("events", key, mandatory)
    assert header.body_size == len(body)
    assert b"".join(part.value for part in rest) == body
    told = header.properties
    assert (told.content_type, told.delivery_mode, told.app_id) == ("application/json", 2, "wabus")
    assert (told.correlation_id, told.message_id, told.message_type) == ("trace", "id", "Type")
    assert told.timestamp == NOW
    assert told.headers.items() >= {k: v for k, v in table.items() if k not in OURS}.items()
    assert (told.headers["x-attempt"], told.headers["x-idempotency-key"]) == (1, "key")


OURS = ("traceparent", "x-attempt", "x-idempotency-key")


@given(upto=st.none() | st.integers(1, 2**63 - 1), single=st.lists(st.integers(1, 2**63 - 1), max_size=5))
def test_answers_are_those_of_pamqp(upto: int | None, single: list[int]) -> None:
    acks = [commands.Basic.Ack(tag) for tag in single]
    if upto is not None:
        acks.insert(0, commands.Basic.Ack(upto, True))

    assert write_acks(7, upto, single) == b"".join(marshal(ack, 7) for ack in acks)
    nacks = [commands.Basic.Nack(tag, False, True) for tag in single]
    assert write_requeues(7, single) == b"".join(marshal(nack, 7) for nack in nacks)


@given(tag=st.integers(1, 2**63 - 1), multiple=st.booleans(), requeue=st.booleans())
def test_confirms_are_read(tag: int, multiple: bool, requeue: bool) -> None:
    for method in (commands.Basic.Ack(tag, multiple), commands.Basic.Nack(tag, multiple, requeue)):
        assert read_confirm(marshal(method, 1)[7:-1]) == (tag, multiple)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_frames_or_are_refused(data: bytes) -> None:
    reader = FrameReader(FRAME_MAX)
    try:
        frames = reader.feed(data)
    except MalformedFrames:
        return
    assert all(len(payload) + 8 <= FRAME_MAX for _, _, payload in frames)


@pytest.mark.parametrize(
    "order", [("body",), ("deliver", "deliver"), ("deliver", "body"), ("deliver", "header", "header")]
)
def test_content_out_of_its_order_is_refused(order: tuple[str, ...]) -> None:
    deliver, header, body = frames_of(1, 1, "key", {}, b"ab")
    frames = {"deliver": deliver, "header": header, "body": body}

    with pytest.raises(MalformedFrames):
        read([frames[name] for name in order])


def test_a_frame_that_is_too_large_or_has_no_end_is_refused() -> None:
    with pytest.raises(MalformedFrames, match="bytes"):
        FrameReader(FRAME_MAX).feed(marshal(ContentBody(b"x" * FRAME_MAX), 1))
    with pytest.raises(MalformedFrames, match="end"):
        FrameReader(FRAME_MAX).feed(marshal(ContentBody(b"x"), 1)[:-1] + b"\x00")
