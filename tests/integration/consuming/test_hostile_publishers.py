"""Properties that a client library cannot write and the broker passes on: no worker stops for them."""

import json
import struct
from collections.abc import Iterable

import aio_pika
import pamqp.encode
import pytest

from tests.support.cluster import Cluster
from tests.support.dead_letters import count_letters, letters, publish_raw
from tests.support.waiting import until


def table(name: bytes, value: bytes) -> bytes:
    """A header table with one entry, as it stands in a frame."""
    entry = bytes([len(name)]) + name + value
    return struct.pack(">I", len(entry)) + entry


def nested(depth: int, kind: bytes) -> bytes:
    value = b"S" + struct.pack(">I", 1) + b"x"
    for _ in range(depth):
        value = b"F" + table(b"a", value) if kind == b"F" else b"A" + struct.pack(">I", len(value)) + value
    return table(b"deep", value)


TABLES = {
    "a name that is not UTF-8": table(b"\xff\xfe", b"t\x01"),
    "a text that is not UTF-8": table(b"text", b"S" + struct.pack(">I", 2) + b"\xff\xfe"),
    "tables in tables": nested(3000, b"F"),
    "lists in lists": nested(5000, b"A"),
    "a time beyond the calendar": table(b"time", b"T" + struct.pack(">Q", 1_768_473_000_000_000_000)),
    "a number beyond 32 bits": table(b"number", b"d" + struct.pack(">d", 1e300)),
    "a frame nearly full": table(b"large", b"S" + struct.pack(">I", 130_000) + b"x" * 130_000),
}


@pytest.mark.parametrize("exchange", ["wa.inbound", "wa.broadcast"])
async def test_headers_of_any_form_reach_the_dead_letters(
    cluster: Cluster, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a worker through `wa.inbound`, which sends it on; to the dlq-handler alone through the other."""
    for kind, written in TABLES.items():
        with monkeypatch.context() as patched:
            patched.setitem(pamqp.encode.METHODS, "table", lambda _, written=written: written)
            await publish_raw(cluster, exchange, "no.such.key", kind.encode(), {"any": "header"})

    await assert_they_are_stored(cluster, TABLES)


async def test_properties_of_any_form_reach_the_dead_letters(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("message_id", "correlation_id", "timestamp", "type")
    for name in names:
        given = {name: 1 if name == "timestamp" else "x"}
        message = aio_pika.Message(name.encode(), **given)  # type: ignore[arg-type]
        await _publish_hostile(cluster, message, is_time=name == "timestamp", monkeypatch=monkeypatch)

    await assert_they_are_stored(cluster, names)


async def _publish_hostile(
    cluster: Cluster, message: aio_pika.Message, *, is_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "timestamp" if is_time else "shortstr"
    written = struct.pack(">Q", 2**63) if is_time else b"\x02\xff\xfe"
    real = pamqp.encode.METHODS[kind]
    target = await cluster.channel.get_exchange("wa.inbound", ensure=False)
    with monkeypatch.context() as patched:
        patched.setitem(
            pamqp.encode.METHODS, kind, lambda value: written if value == "x" or is_time else real(value)
        )
        await target.publish(message, routing_key="491700000001")


async def assert_they_are_stored(cluster: Cluster, bodies: Iterable[str]) -> None:
    """They and what was published after them are stored, and the workers are well."""
    expected = sorted([*bodies, "next"])
    async with cluster.running("inbound-resolver", "dlq-handler"):
        await publish_raw(cluster, "wa.inbound", "491700000001", b"next")
        await until(lambda: _are_stored(cluster, len(expected)))
    rows = await letters(cluster)
    assert sorted(bytes(row["raw_body"]).decode() for row in rows) == expected
    assert all(isinstance(json.loads(row["headers"]), dict) for row in rows)


async def _are_stored(cluster: Cluster, count: int) -> bool:
    return await count_letters(cluster) == count
