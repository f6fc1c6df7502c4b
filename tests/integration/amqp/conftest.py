"""The bench of every test here, once for each implementation of the seam."""

from collections.abc import AsyncIterator

import aio_pika
import pytest

from tests.integration.amqp.bench import IMPLEMENTATIONS, Bench
from tests.support.frame_proxy import FrameProxy


@pytest.fixture(params=IMPLEMENTATIONS)
async def bench(request: pytest.FixtureRequest, virtual_host: str) -> AsyncIterator[Bench]:
    """With an empty queue of its own."""
    async with await aio_pika.connect(virtual_host) as connection:
        channel = await connection.channel()
        bench = Bench(IMPLEMENTATIONS[request.param], virtual_host, channel, "test.amqp")
        await channel.queue_delete(bench.queue)
        await bench.declare()
        yield bench
        await channel.queue_delete(bench.queue)


@pytest.fixture
async def proxy(virtual_host: str) -> AsyncIterator[FrameProxy]:
    """Before the server, for a broker that is to be cut off or told something."""
    async with FrameProxy.before(virtual_host) as proxy:
        yield proxy
