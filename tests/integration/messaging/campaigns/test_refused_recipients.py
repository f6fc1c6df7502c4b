"""Recipients whose message the platform refused for its campaign's sake: back to the campaign."""

from uuid import UUID

import pytest

from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.scopes import Failure, Held, WaitsFor
from shared.messaging.numbers.holds import carry_out
from shared.postgres.database import Database
from tests.support.paces import FAST
from tests.support.rows import Connection, add_campaign, add_mapping, add_message, insert, only_row

CUSTOMER = "491700000001"
RECIPIENT = "select status, wamid, sent_at, skip_reason from broadcast_recipients"


async def refuse(database_url: str, message_id: UUID) -> None:
    """As an answer or a status does that calls the template gone."""
    failure = Failure(message_id, 1, ErrorClass.TEMPLATE, "132001", "Template does not exist")
    database = Database(database_url)
    try:
        async with database.transaction() as connection:
            await carry_out(connection, [Held(failure, WaitsFor.CAMPAIGN)], FAST, by="test")
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("campaign", "comes_to"),
    [("running", ("pending", None)), ("cancelled", ("skipped", "campaign_cancelled"))],
)
async def test_who_was_refused_is_as_never_sent_to(
    database_url: str, conn: Connection, campaign: str, comes_to: tuple[str, str | None]
) -> None:
    await add_campaign(conn, status=campaign)
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER)
    message_id = await add_message(conn, mapping_id=mapping_id, campaign_id="spring", status="sent")
    bound = {"campaign_id": "spring", "wa_id": CUSTOMER, "message_id": message_id}
    await insert(conn, "broadcast_recipients", **bound, status="sent", wamid="wamid.1")

    await refuse(database_url, message_id)

    recipient = await only_row(conn, RECIPIENT)

    assert (recipient["status"], recipient["skip_reason"]) == comes_to
    assert (recipient["wamid"], recipient["sent_at"]) == (None, None)


async def test_a_late_refusal_takes_nobody_back_to_whom_another_message_is_under_way(
    database_url: str, conn: Connection
) -> None:
    await add_campaign(conn, status="running")
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER)
    earlier = await add_message(conn, mapping_id=mapping_id, campaign_id="spring", status="failed")
    later = await add_message(conn, mapping_id=mapping_id, campaign_id="spring")
    bound = {"campaign_id": "spring", "wa_id": CUSTOMER, "message_id": later}
    await insert(conn, "broadcast_recipients", **bound, status="queued")

    await refuse(database_url, earlier)

    assert (await only_row(conn, RECIPIENT))["status"] == "queued"
