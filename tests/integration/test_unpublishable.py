"""What no frame takes keeps nothing else from being published."""

import pytest

from shared.amqp.delivery import Publication
from shared.amqp.topology import EVENTS
from shared.errors import Unpublishable
from tests.integration.test_publishing import broker
from tests.support.cluster import Cluster
from tests.support.waiting import until


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
async def test_only_the_bad_one_of_a_batch_fails(cluster: Cluster, bad: Publication) -> None:
    batch = [publication(), bad, publication(), publication()]
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        outcomes = await opened.publisher.publish(batch)
        assert [type(outcome) for outcome in outcomes] == [type(None), Unpublishable, type(None), type(None)]
        assert [type(outcome) for outcome in await opened.publisher.publish([bad])] == [Unpublishable]
        assert await opened.publisher.publish([publication()]) == [None]
    await until(lambda: len(cluster.told("told")) == 4)
