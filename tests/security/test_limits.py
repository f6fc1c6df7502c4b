"""No input makes a process take memory, or time, without a bound."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shared.amqp.decoding import read_table
from shared.durations import DURATIONS
from shared.masking import mask_secrets
from shared.messaging.campaigns.file import FileError, check_file
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.observability.server import HealthServer
from shared.payloads import InboundMessage, InvalidPayload, OutboundMessage, decode
from shared.payloads.decoding import BODY_LIMIT_BYTES
from shared.settings.media_url import InvalidMediaUrl, check_media_url
from shared.settings.settings import Settings
from workers.outbound_sender.calling.answer import Lost, Refused, read_answer
from workers.outbound_sender.calling.cloud_api import CloudApi

MIB = 1024 * 1024


@asynccontextmanager
async def platform(answer: Any) -> AsyncIterator[CloudApi]:
    """The sender's client before a platform that answers so."""
    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = CloudApi(Settings.from_env({"WHATSAPP_API_URL": url, "WHATSAPP_ACCESS_TOKEN": "t"}), DURATIONS)
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_without_an_end_is_given_up_early(compressed: bool) -> None:
    written = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        if compressed:
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        while written < 512 * MIB:
            await response.write(b" " * MIB)
            written += MIB
        return response

    async with platform(answer) as api:
        tracemalloc.start()
        try:
            outcome = await api.send("1001", b"{}", asyncio.get_running_loop().time())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert outcome == Lost("an answer of more than 262144 bytes", 200)
    assert peak < 64 * MIB


@pytest.mark.parametrize("wait", ["1000000000000", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_of_ages_is_a_day(wait: str) -> None:
    headers = {"Retry-After": wait, "Date": "Thu, 15 Jan 2026 10:30:00 GMT"}
    answer = read_answer(429, headers, b'{"error":{"code":130429}}')

    assert isinstance(answer, Refused)
    assert answer.retry_after_s == 24 * 3600.0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b" " * (BODY_LIMIT_BYTES + 1), id="large"),
        pytest.param(b"[" * 500_000, id="deep lists"),
        pytest.param(b'{"a":' * 150_000, id="deep objects"),
        pytest.param(b'{"wamid":' + b"9" * 900_000 + b"}", id="huge number"),
        pytest.param(b'{"timestamp":1e' + b"9" * 900_000 + b"}", id="huge exponent"),
        pytest.param(b'{"wamid":"' + b"\\ud800" * 150_000 + b'"}', id="lone surrogates"),
        pytest.param(b'{"wamid":"' + b"\\u0000" * 150_000 + b'"}', id="NULs"),
        pytest.param(b'{"errors":[' + b"{}," * 300_000 + b"{}]}", id="many items"),
        pytest.param(b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}", id="many fields"),
    ],
)
def test_a_hostile_body_is_refused_in_one_short_line_and_little_memory(body: bytes) -> None:
    for model in (InboundMessage, OutboundMessage):
        tracemalloc.start()
        try:
            with pytest.raises(InvalidPayload) as refusal:
                decode(model, body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(str(refusal.value)) <= 300
        assert peak < 100 * MIB


def test_a_header_table_costs_what_it_weighs() -> None:
    wire = b"".join(b"\x04%04xV" % number for number in range(20_000))
    wire = len(wire).to_bytes(4) + wire
    tracemalloc.start()
    try:
        _, table = read_table(wire)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(table) == 20_000
    assert table.wire_bytes == len(wire)
    assert peak < 20 * len(wire)


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
@pytest.mark.parametrize("kind", [b"A", b"F"])
def test_a_table_that_claims_more_than_is_there_is_refused(kind: bytes, length: bytes) -> None:
    inner = b"\x01a" + kind + length
    with pytest.raises(ValueError, match="cut off"):
        read_table(len(inner).to_bytes(4) + inner)
    with pytest.raises(ValueError, match="cut off"):
        read_table(length + inner)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("x" * (8 * MIB), id="no end of line"),
        pytest.param("wa_id\n" + "1" * (8 * MIB), id="a line without an end"),
        pytest.param('wa_id,a\n491700000001,"' + "x\n" * 200_000, id="a quote without an end"),
        pytest.param("wa_id,a\n491700000001" + ',"x\n"' * MIB, id="a record of a million lines"),
    ],
)
def test_a_campaign_file_without_records_is_not_read_whole(tmp_path: Path, content: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            assert check_file(path).problem_count == 0, "not CSV is a problem of a line"
        _, peak = tracemalloc.get_traced_memory()
    except AssertionError:
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 64 * MIB


def test_masking_and_media_urls_cost_little_whatever_they_are_given() -> None:
    assert mask_secrets("://" * 1000).count("://") == 1000
    for host in ("ü" * MIB, "a." * MIB, "[" + ":" * MIB + "]", "1" * MIB):
        with pytest.raises(InvalidMediaUrl):
            check_media_url(f"https://{host}/", ())


async def test_the_health_server_reads_no_large_request() -> None:
    metrics = Metrics()
    server = HealthServer("127.0.0.1", 0, metrics, [], WorkerState("scheduler", metrics))
    async with server, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{server.port}"
        async with client.get(f"{url}/metrics?{'x' * 100_000}") as answer:
            assert answer.status == 400
        async with client.get(f"{url}/metrics", headers={"x": "y" * 100_000}) as answer:
            assert answer.status == 400
        async with client.get(f"{url}/health/live") as answer:
            assert answer.status == 200
