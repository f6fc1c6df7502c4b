"""A worker whose collector of spans is away or hangs: its work, its logs and its stop are as ever."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.support.processes import Processes
from tests.support.sending import CUSTOMER, NUMBER, TOKEN, Sender, text
from tests.support.waiting import until


@asynccontextmanager
async def hanging_server() -> AsyncIterator[str]:
    """The address of a server that takes whatever comes and never answers."""
    opened: list[asyncio.StreamWriter] = []

    def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in opened:
            writer.close()
        server.close()


@asynccontextmanager
async def refusing_server() -> AsyncIterator[str]:
    """An address where nobody listens."""
    yield "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("away", "timeout_s", "told"), [(hanging_server, "600", 0), (refusing_server, "0.01", 1)]
)
async def test_a_collector_that_is_away_stops_neither_work_nor_the_stop(
    sender: Sender,
    processes: Processes,
    away: Callable[[], AbstractAsyncContextManager[str]],
    timeout_s: str,
    told: int,
) -> None:
    # Given a sender with a collector that takes nothing; its exporter waits ten minutes, or gives up at once
    async with away() as endpoint:
        worker = processes.start(
            "outbound-sender",
            WHATSAPP_API_URL=sender.url,
            WHATSAPP_PHONE_NUMBER_ID=NUMBER,
            LOG_LEVEL="DEBUG",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_TIMEOUT=timeout_s,
            OTEL_BSP_SCHEDULE_DELAY="10",
        )
        await worker.until_ready()

        # When it sends, is refused, and is told to stop
        for place in range(3):
            await sender.ask(text(f"c{place}", f"{CUSTOMER[:-3]}00{place}"))
        await sender.ask(text("refused", f"{CUSTOMER[:-3]}907"))
        for place in range(3):
            await sender.until_status("sent", f"c{place}")
        await sender.until_status("failed", "refused")
        await until(lambda: any("dead as" in said for said in worker.messages()))
        await until(lambda: sum("takes no spans" in said for said in worker.messages()) == told)
        worker.send(signal.SIGTERM)

        # Then it has done its work and ends well while the collector is still away
        assert await worker.until_exit() == 0
        assert sum("takes no spans" in said for said in worker.messages()) == told

    # And its log has one line for each send, by which each is found
    row = await sender.row()
    sends = [line for line in worker.lines() if str(line.get("message")).startswith("send ")]
    (failed,) = [line for line in sends if line["level"] == "WARN"]
    (dead,) = [line for line in worker.lines() if "dead as" in str(line.get("message"))]
    facts = ("operation", "phone_number_id", "lane", "attempt", "outcome")

    assert [line["level"] for line in sends].count("DEBUG") == len(sends) - 1 == 3
    assert {tuple(line[name] for name in facts) for line in sends if line is not failed} == {
        ("outbound_send", NUMBER, "reply", 1, "sent")
    }
    assert {line["message_id"] for line in sends if line["wa_id"] == "49***01"} == {str(row["id"])}
    assert all(line["duration_ms"] > 0 for line in sends)
    refused = await sender.row("refused")
    assert (failed["message_id"], failed["code"], failed["attempt"]) == (str(refused["id"]), "131026", 1)
    assert (dead["message_id"], dead["lane"], dead["code"]) == (str(refused["id"]), "reply", "send_rejected")
    assert TOKEN not in worker.log.read_text()
