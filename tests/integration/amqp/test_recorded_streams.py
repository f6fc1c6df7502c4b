"""What RabbitMQ really said, read again in other pieces: the same messages come of it."""

import random
from typing import Any

import pytest
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import unmarshal
from pamqp.header import ContentHeader

from shared.amqp.client import AmqpClient
from shared.amqp.frames.reading import (
    ACK,
    DELIVER,
    METHOD,
    NACK,
    ContentReader,
    FrameReader,
    read_confirm,
    read_properties,
    read_route,
)
from tests.integration.amqp.bench import Bench, take
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until


@pytest.mark.parametrize("bench", [AmqpClient.FRAMES], indirect=True)
async def test_a_recorded_stream_is_read_the_same_in_any_pieces(bench: Bench, proxy: FrameProxy) -> None:
    # Given deliveries of all sizes, some of them twice, beside confirms
    sizes = [0, 1, 131_064, 131_065, 300_000, 2]
    async with bench.broker(proxy.url(bench.url)) as broker:
        batch = [
            bench.publication(n, body=b"%d" % n * size, headers={"n": n, "t": {"l": [n, None, True]}})
            for n, size in enumerate(sizes)
        ]
        assert await broker.publisher.publish(batch) == [None] * len(sizes)
        inlet = await broker.inlet(bench.queue, prefetch=10)
        taken = await take(inlet, len(sizes))
        await inlet.release(taken[:2])
        await inlet.acknowledge([*taken[2:], *(await take(inlet, 2))])
        await until(lambda: bench.is_deep(0))
    # When each connection's stream is read in pieces of any size
    told: list[Any] = []
    for stream in map(bytes, proxy.recorded):
        expected = by_pamqp(stream)
        told += expected
        for seed in range(10):
            assert by_frames(stream, random.Random(seed)) == expected
    # Then it says what pamqp reads of it
    assert sum(item[0] == "delivery" for item in told) == len(sizes) + 2
    assert sum(item[0] == "confirm" for item in told) >= 1


def by_pamqp(stream: bytes) -> list[Any]:
    told: list[Any] = []
    parts: list[Any] = []
    while stream:
        size, _, frame = unmarshal(stream)
        stream = stream[size:]
        if isinstance(frame, Basic.Ack | Basic.Nack):
            told.append(("confirm", isinstance(frame, Basic.Ack), frame.delivery_tag, frame.multiple))
        elif isinstance(frame, Basic.Deliver):
            parts = [frame]
        elif isinstance(frame, ContentHeader | ContentBody) and parts:
            parts.append(frame)
        elif isinstance(frame, Frame):
            continue
        if len(parts) > 1 and parts[1].body_size == sum(len(part.value) for part in parts[2:]):
            deliver, header, *bodies = parts
            properties, parts = header.properties, []
            route = (deliver.delivery_tag, deliver.redelivered, deliver.exchange, deliver.routing_key)
            kept = (properties.headers, properties.correlation_id, properties.message_id)
            told.append(
                ("delivery", route, (*kept, properties.timestamp), b"".join(part.value for part in bodies))
            )
    return told


def by_frames(stream: bytes, chance: random.Random) -> list[Any]:
    told: list[Any] = []
    reader, contents = FrameReader(131_072), ContentReader()
    while stream:
        size = chance.choice([1, 7, 100, 4096, 65_536])
        piece, stream = stream[:size], stream[size:]
        for kind, channel, payload in reader.feed(piece):
            if kind == METHOD and payload.startswith((ACK, NACK)):
                told.append(("confirm", payload.startswith(ACK), *read_confirm(payload)))
            elif kind == METHOD and payload.startswith(DELIVER):
                contents.begin(payload)
            elif kind != METHOD and channel and (content := contents.add(kind, payload)) is not None:
                route, properties = read_route(content.method), read_properties(content.header)
                told.append(("delivery", tuple(route), tuple(properties), content.body))
    return told
