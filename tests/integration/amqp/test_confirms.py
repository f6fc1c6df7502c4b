"""Confirms come in any order, alone or for many: each tells of its own publications and of no other.

RabbitMQ has taken every message here; the proxy holds its confirms back and gives others in their place.
"""

import asyncio
from typing import Final

import pytest
from pamqp.base import Frame
from pamqp.commands import Basic

from shared.errors import PublishFailed, PublishRefused
from tests.integration.amqp.bench import Bench
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until


def ack(tag: int, *, many: bool = False) -> Basic.Ack:
    return Basic.Ack(tag, many)


def nack(tag: int, *, many: bool = False) -> Basic.Nack:
    return Basic.Nack(tag, many)


OK: Final[type] = type(None)
#: What the server is made to say, and what comes of five publications.
ANSWERS: Final[dict[str, tuple[list[Frame], list[type]]]] = {
    "from the last to the first": ([ack(5), ack(4), ack(3), ack(2), ack(1)], [OK] * 5),
    "one for all": ([ack(5, many=True)], [OK] * 5),
    "some alone, then one for those below it": ([ack(4), ack(2), ack(3, many=True), ack(5)], [OK] * 5),
    "one refused alone": (
        [ack(5), nack(3), ack(2, many=True), ack(4)],
        [OK, OK, PublishRefused, OK, OK],
    ),
    "many refused by one": (
        [nack(3, many=True), ack(5, many=True)],
        [PublishRefused, PublishRefused, PublishRefused, OK, OK],
    ),
    "a refusal for many that spares what was confirmed": (
        [ack(2), nack(3, many=True), ack(5, many=True)],
        [PublishRefused, OK, PublishRefused, OK, OK],
    ),
    "one never": ([ack(5), ack(2, many=True), ack(4)], [OK, OK, PublishFailed, OK, OK]),
}


@pytest.mark.parametrize("order", ANSWERS)
async def test_each_publication_has_the_outcome_that_its_confirm_tells(
    bench: Bench, proxy: FrameProxy, order: str
) -> None:
    answers, expected = ANSWERS[order]
    proxy.hold(Basic.Ack, Basic.Nack)
    patience_s = 1.0 if PublishFailed in expected else 30.0
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=patience_s) as broker:
        publishing = asyncio.create_task(broker.publisher.publish(bench.publications(5)))
        await until(lambda: proxy.confirmed == {1, 2, 3, 4, 5})

        proxy.answer(*answers)

        assert [type(outcome) for outcome in await publishing] == expected

    assert await bench.depth() == 5


async def test_batches_that_are_out_together_do_not_share_outcomes(bench: Bench, proxy: FrameProxy) -> None:
    proxy.hold(Basic.Ack, Basic.Nack)
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=30.0) as broker:
        first = asyncio.create_task(broker.publisher.publish(bench.publications(3)))
        await until(lambda: proxy.confirmed == {1, 2, 3})
        second = asyncio.create_task(broker.publisher.publish(bench.publications(2)))
        await until(lambda: proxy.confirmed == {1, 2, 3, 4, 5})

        proxy.answer(nack(4), ack(5), ack(3, many=True))

        assert await first == [None] * 3
        assert [type(outcome) for outcome in await second] == [PublishRefused, OK]
