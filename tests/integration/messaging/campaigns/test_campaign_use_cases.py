"""What operators do with campaigns, called as any program would: with handles and values, no terminal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.amqp.broker import LentPublisher
from shared.amqp.client import lend_publisher
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.messaging.campaigns.control import Controlled, UnknownCampaign, request_control
from shared.messaging.campaigns.holds import HoldKind
from shared.messaging.campaigns.launch import CampaignTaken, Launched, RecipientSource, launch
from shared.messaging.campaigns.status import read_statuses
from shared.payloads import BroadcastCampaign
from shared.postgres.database import Database
from tests.support.campaigns import BATCHER, campaign, counts, customer
from tests.support.cluster import Cluster
from tests.support.rows import add_campaign

SPRING = BroadcastCampaign.model_validate(campaign())


@asynccontextmanager
async def handles(cluster: Cluster) -> AsyncIterator[tuple[Database, LentPublisher]]:
    database = Database(cluster.database_url, size=1)
    try:
        async with lend_publisher(cluster.rabbitmq_url, "test", DURATIONS) as publisher:
            yield database, publisher
    finally:
        await database.close()


def listed(path: Path, *numbers: int) -> RecipientSource:
    path.write_text("\n".join(["wa_id", *(customer(number) for number in numbers)]))
    return RecipientSource(path)


async def test_a_launch_tells_its_progress_and_is_nothing_new_once_it_was_taken_up(
    cluster: Cluster, tmp_path: Path
) -> None:
    source, told = listed(tmp_path / "list.csv", 1, 2, 3), list[int]()
    async with handles(cluster) as (database, publisher):
        first = await launch(database, publisher, SPRING, source, "ana", told.append)
        await cluster.conn.execute("update broadcast_campaigns set status = 'running'")

        again = await launch(database, publisher, SPRING, source, "ben", told.append)

    assert first == Launched(new=True, status="draft", recipients=3)
    assert again == Launched(new=False, status="running", recipients=3)
    assert told == [3, 3]
    assert await counts(cluster) == {"pending": 3}
    assert await cluster.depth(BATCHER) == 1
    assert await cluster.conn.fetchval("select actor from audit_log") == "ana"


async def test_an_id_that_is_taken_is_told_apart_from_other_errors(cluster: Cluster, tmp_path: Path) -> None:
    await add_campaign(cluster.conn, id="spring", status="running")

    async with handles(cluster) as (database, publisher):
        with pytest.raises(CampaignTaken, match=r"^campaign spring exists \(running\) with other content$"):
            await launch(database, publisher, SPRING, listed(tmp_path / "list.csv", 1), "ana", lambda _: None)

    assert await counts(cluster) == {}


async def test_a_control_is_requested_once_and_only_where_it_can_have_an_effect(cluster: Cluster) -> None:
    await add_campaign(cluster.conn, id="over", status="done")
    await add_campaign(cluster.conn, id="gone", status="cancelled")

    async with handles(cluster) as (database, publisher):
        with pytest.raises(UnknownCampaign, match=r"^no campaign spring$"):
            await request_control(database, publisher, "pause", "spring", "ana")
        with pytest.raises(WabusError, match=r"^campaign over is done: there is nothing to resume$"):
            await request_control(database, publisher, "resume", "over", "ana")
        cancelled = await request_control(database, publisher, "cancel", "gone", "ana")

    assert cancelled == Controlled("cancelled", carried_out=True)
    assert await cluster.depth(BATCHER) == 0
    assert await cluster.conn.fetchval("select count(*) from audit_log") == 0


async def test_a_status_names_what_holds_a_campaign(cluster: Cluster) -> None:
    await add_campaign(cluster.conn, id="spring", phone_number_id="1001")

    async with handles(cluster) as (database, _):
        [status] = await read_statuses(database, "spring", 1, None)
        unknown = await read_statuses(database, "autumn", 1, None)

    assert (status.status, status.rate, status.eta_s) == ("draft", 0.0, None)
    assert [hold.kind for hold in status.holds] == [HoldKind.NOT_TAKEN_UP, HoldKind.NO_SCHEDULER]
    assert unknown == []
