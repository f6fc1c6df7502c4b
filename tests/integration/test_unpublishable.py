"""What no frame takes keeps nothing else from being published."""

from collections.abc import AsyncIterator

import pytest

from shared.amqp.delivery import Publication
from shared.amqp.pika import PikaBroker
from shared.amqp.topology import EVENTS, build_topology
from shared.errors import Unpublishable
from tests.support.cluster import FAST, Cluster
from tests.support.waiting import until


@pytest.fixture
async def broker(cluster: Cluster) -> AsyncIterator[PikaBroker]:
    broker = PikaBroker(cluster.rabbitmq_url, "test", build_topology(FAST), FAST, lambda _: None)
    await broker.connect()
    yield broker
    await broker.close()


def publication(routing_key: str = "told", **headers: object) -> Publication:
    return Publication(EVENTS, routing_key, b"{}", "Told", "key", "trace", headers=dict(headers))


@pytest.mark.parametrize(
    "bad",
    [
        publication("n" * 256),
        publication("ä" * 200),
        publication(header=10**30),
        publication(header="\ud800"),
        publication(header="x" * 200_000),
    ],
    ids=["long name", "long in bytes", "number", "surrogate", "larger than a frame"],
)
async def test_only_the_bad_one_of_a_batch_fails(
    cluster: Cluster, broker: PikaBroker, bad: Publication
) -> None:
    batch = [publication(), bad, publication(), publication()]
    outcomes = await broker.publisher.publish(batch)
    assert [type(outcome) for outcome in outcomes] == [type(None), Unpublishable, type(None), type(None)]
    assert [type(outcome) for outcome in await broker.publisher.publish([bad])] == [Unpublishable]
    assert await broker.publisher.publish([publication()]) == [None]
    await until(lambda: len(cluster.told("told")) == 4)
