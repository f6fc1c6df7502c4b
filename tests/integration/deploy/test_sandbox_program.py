"""`wabus sandbox` as a process: its first line, its signals, its complaints."""

import asyncio
import os
import signal
import sys

import aiohttp
import pytest

from tests.support.sandbox import SandboxCaller, WebhookReceiver, wait_for_message

TO = "491700000001"


async def start_program(*options: str) -> asyncio.subprocess.Process:
    """`wabus sandbox` as a process of its own."""
    code = "from deploy.commands.sandbox import sandbox; sandbox()"
    pipe = asyncio.subprocess.PIPE
    environment = {name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *options, stdout=pipe, stderr=pipe, env=environment
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_prints_its_url_first_and_stops_cleanly(number: signal.Signals) -> None:
    process = await start_program("--token", "t", "--latency-ms", "1")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with SandboxCaller.connected(url) as caller:
        assert (await caller.send(TO)).status == 200
        hanging = asyncio.create_task(caller.send("491700000903"))
        await wait_for_message(caller, "491700000903")
        process.send_signal(number)
        with pytest.raises(aiohttp.ClientError):
            await hanging
    rest, errors = await process.communicate()

    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        (["--statuses", "amqp"], 2, b"needs RABBITMQ_URL"),
        (["--port", "70000"], 2, b"70000"),
        (["--host", "203.0.113.1", "--port", "9"], 1, b"cannot listen on 203.0.113.1:9"),
    ],
)
async def test_the_program_says_what_it_cannot_do(options: list[str], status: int, line: bytes) -> None:
    process = await start_program(*options)
    output, errors = await process.communicate()

    assert (process.returncode, output) == (status, b"")
    assert line in errors


async def test_the_program_posts_to_a_webhook_where_no_broker_is_named() -> None:
    async with WebhookReceiver.running() as receiver:
        process = await start_program("--statuses", "amqp", "--webhook", receiver.url)
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with SandboxCaller.connected(url) as caller:
            wamid = (await caller.send(TO)).wamid
            statuses = await receiver.wait_for(bool)
        process.terminate()
        await process.communicate()

    assert (statuses[0]["id"], process.returncode) == (wamid, 0)
