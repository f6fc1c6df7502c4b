"""Signing in: over TLS, to one of several addresses, and what is told where RabbitMQ does not let us in."""

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import pytest

from shared.amqp.client import AmqpClient
from shared.amqp.topology import build_topology
from tests.integration.amqp.bench import Bench, bodies, take
from tests.support.brokers import starting
from tests.support.frame_proxy import FrameProxy
from tests.support.paces import FAST
from tests.support.tls import HANDSHAKE, Authority, tls_front
from tests.support.waiting import until

HOST: Final = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), HOST)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that signed nothing that is shown here."""
    return Authority.make(tmp_path_factory.mktemp("stranger"), HOST)


async def test_over_tls_everything_is_as_in_the_clear(bench: Bench, authority: Authority) -> None:
    large = b"x" * 700_000
    async with tls_front(bench.url, authority) as front:
        url = front.url(bench.url, "amqps", HOST, f"cafile={authority.certificate}")
        async with bench.broker(url) as broker:
            batch = [bench.publication(1, body=b"a"), bench.publication(2, body=large)]
            assert await broker.publisher.publish(batch) == [None, None]
            inlet = await broker.inlet(bench.queue, prefetch=10)
            taken = await take(inlet, 2)
            await inlet.acknowledge(taken)

    await until(lambda: bench.is_deep(0))
    assert bodies(taken) == [b"a", large]
    assert set(front.beginnings) == {HANDSHAKE}


@pytest.mark.parametrize("wrong", ["authority", "host"])
async def test_a_server_that_does_not_prove_who_it_is_is_told_and_told_nothing(
    bench: Bench, authority: Authority, stranger: Authority, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    trusted, host = (stranger, HOST) if wrong == "authority" else (authority, "127.0.0.1")
    async with tls_front(bench.url, authority) as front:
        url = front.url(bench.url, "amqps", host, f"cafile={trusted.certificate}")

        (told,) = await refusals(bench, url, caplog)

    assert "certificate verify failed" in told.lower().replace("_", " ")
    assert set(front.beginnings) == {HANDSHAKE}


async def test_a_wrong_password_is_one_line_with_the_servers_reason(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    parts = urlsplit(bench.url)
    url = parts._replace(netloc=f"{parts.username}:hidden@{parts.hostname}:{parts.port}").geturl()

    (told,) = await refusals(bench, url, caplog)

    assert "ACCESS_REFUSED" in told
    assert "hidden" not in told
    assert "\n" not in told


@pytest.mark.parametrize("bench", [AmqpClient.FRAMES], indirect=True)
async def test_a_virtual_host_that_is_not_there_is_one_line_with_the_servers_reason(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """aiormq tells of a frame that it did not expect, without the reason in it."""
    (told,) = await refusals(bench, urlsplit(bench.url)._replace(path="/nowhere").geturl(), caplog)

    assert "vhost nowhere not found" in told


async def test_of_several_addresses_the_next_one_is_taken_where_the_first_is_away(
    bench: Bench, proxy: FrameProxy
) -> None:
    async with FrameProxy.before(bench.url) as first:
        parts = urlsplit(first.url(bench.url))
        url = parts._replace(netloc=f"{parts.netloc},127.0.0.1:{proxy.port}").geturl()
        async with bench.broker(url) as broker:
            inlet = await broker.inlet(bench.queue, prefetch=10)
            await until(bench.is_consumed)
            assert not proxy.recorded

            first.refuse()

            await until(lambda: bool(proxy.recorded) and broker.is_up)
            await bench.send(b"a")
            assert bodies(await take(inlet, 1)) == [b"a"]
            await until(lambda: bench.publishes(broker))


async def refusals(bench: Bench, url: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The first line that a broker says of a server that it cannot use."""
    async with starting(bench.build(url, "test", build_topology(FAST), replace(FAST))):
        await until(lambda: "is away" in caplog.text)
        return [text for text in caplog.messages if "is away" in text][:1]
