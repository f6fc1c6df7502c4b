"""A sender that can open no connection: that is its own trouble, no platform's and no message's."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.http import get
from tests.support.processes import Processes, Program
from tests.support.sending import NUMBER, Sender, text
from tests.support.waiting import until

#: As many messages as open a breaker, and one more.
MESSAGES = 6


@contextmanager
def without_files(program: Program) -> Iterator[None]:
    """What it has open it keeps; it opens nothing."""
    pid = program.pid
    assert pid is not None
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


async def test_too_many_open_files_open_no_breaker_and_cost_no_message(
    sender: Sender, processes: Processes
) -> None:
    conn = sender.cluster.conn
    program = processes.start_shipped(
        "outbound-sender", WHATSAPP_API_URL=sender.url, WHATSAPP_PHONE_NUMBER_ID=NUMBER
    )
    await program.until_ready()
    url = await program.url()

    with without_files(program):
        for place in range(1, MESSAGES + 1):
            await sender.ask(text(f"c{place}", f"49170000000{place}"))
            await sender.until_deferred("worker_unable", place)
    code, health = await get(url, "/health")

    assert await conn.fetchval("select count(*) from circuit_breakers where failures > 0") == 0
    assert await conn.fetchval("select count(*) from message_tracking where status = 'queued'") == MESSAGES
    assert (code, health["status"]) == (200, "degraded")
    assert any("no request to the Cloud API can be made" in reason for reason in health["reasons"])

    async def is_healthy() -> bool:
        verdict: dict[str, Any] = (await get(url, "/health"))[1]
        return not any("Cloud API" in reason for reason in verdict["reasons"])

    await sender.release("worker_unable")
    for place in range(1, MESSAGES + 1):
        await sender.until_status("sent", f"c{place}")
    await until(is_healthy)
