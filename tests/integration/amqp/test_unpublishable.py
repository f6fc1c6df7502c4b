"""What no frame takes keeps nothing else from being published."""

import pytest

from shared.amqp.delivery import Publication
from shared.amqp.properties import DROPPED_HEADERS
from shared.amqp.topology import EVENTS
from shared.errors import Unpublishable
from tests.integration.amqp.test_publishing import broker
from tests.support.cluster import Cluster
from tests.support.waiting import until


def publication(routing_key: str = "told", **headers: object) -> Publication:
    return Publication(EVENTS, routing_key, b"{}", "Told", "key", "trace", headers=dict(headers))


@pytest.mark.parametrize(
    "bad", [publication("n" * 256), publication("ä" * 200)], ids=["long name", "long in bytes"]
)
async def test_only_the_bad_one_of_a_batch_fails(cluster: Cluster, bad: Publication) -> None:
    batch = [publication(), bad, publication(), publication()]
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        outcomes = await opened.publisher.publish(batch)
        assert [type(outcome) for outcome in outcomes] == [type(None), Unpublishable, type(None), type(None)]
        assert [type(outcome) for outcome in await opened.publisher.publish([bad])] == [Unpublishable]
        assert await opened.publisher.publish([publication()]) == [None]
    await until(lambda: len(cluster.told("told")) == 4)


@pytest.mark.parametrize(
    "header", [10**30, "\ud800", "x" * 200_000], ids=["number", "surrogate", "larger than a frame"]
)
async def test_a_header_that_no_frame_takes_is_left_out_and_named(cluster: Cluster, header: object) -> None:
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        batch = [publication(), publication(header=header, small="kept"), publication()]
        assert await opened.publisher.publish(batch) == [None] * 3
    await until(lambda: len(cluster.told("told")) == 3)
    headers = cluster.events[1].headers
    assert (headers["small"], headers[DROPPED_HEADERS]) == ("kept", "header")
