"""What is wrong with the installation kills no message; what a message is to blame for is listed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import pytest

from shared.errors import StoreConflict, StoreDataError, StoreError, StoreMisconfigured, StoreUnavailable
from shared.postgres.database import Database, translate
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.databases import ROLES
from tests.support.sending import Sender, text
from tests.support.waiting import until

MESSAGES = 60
#: What breaks an installation, what mends it, and what the worker says.
TROUBLES: Final = [
    (
        "revoke insert on message_tracking from wabus_worker",
        ROLES.read_text(),
        "permission denied for table message_tracking",
    ),
    (
        "alter table message_tracking rename column published_at to let_out_at",
        "alter table message_tracking rename column let_out_at to published_at",
        "published_at",
    ),
]


async def deaths(cluster: Cluster) -> int:
    letters = await cluster.conn.fetchval("select count(*) from dead_letter_queue")
    return (
        int(letters) + await cluster.depth("dlq-handler") + await cluster.depth("inbound-resolver.retry.5s")
    )


@pytest.mark.parametrize(("trouble", "mend", "said"), TROUBLES, ids=["a right", "a column"])
async def test_what_is_missing_for_a_while_kills_no_message(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, trouble: str, mend: str, said: str
) -> None:
    async with cluster.running("inbound-resolver"):
        await send(cluster, *(message(number) for number in range(MESSAGES)))
        await until(lambda: len(enriched(cluster)) > 0)
        await cluster.conn.execute(trouble)
        await send(cluster, *(message(number) for number in range(MESSAGES, 2 * MESSAGES)))
        await until(lambda: "does not let this worker work" in caplog.text)
        line = next(line for line in caplog.messages if "does not let this worker work" in line)
        await cluster.conn.execute(mend)
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 2 * MESSAGES)

    assert said in line
    assert await deaths(cluster) == 0


async def test_a_right_that_is_missing_for_a_while_kills_no_reply(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = sender.cluster
    customers = [f"4917000000{number:03}" for number in range(MESSAGES)]
    async with sender.running():
        for customer in customers[: MESSAGES // 2]:
            await sender.ask(text(f"c{customer}", customer))
        await cluster.conn.execute("revoke insert, update on send_attempts from wabus_worker")
        for customer in customers[MESSAGES // 2 :]:
            await sender.ask(text(f"c{customer}", customer))
        await until(lambda: "does not let this worker work" in caplog.text)
        await cluster.conn.execute(ROLES.read_text())
        await until(lambda: len(cluster.told("outbound.sent")) == MESSAGES)

    assert (await sender.sandbox.stats())["accepted"] == MESSAGES
    assert await cluster.depth("dlq-handler") == 0
    assert cluster.told("outbound.failed") == []


def raised(sqlstate: str) -> StoreError | None:
    return translate(asyncpg.PostgresError.new({"C": sqlstate, "M": "a message"}))


@pytest.mark.parametrize(
    "sqlstate", ["22001", "22021", "22P02", "22003", "23505", "23514", "21000", "54000", "54001"]
)
def test_data_constraints_and_limits_are_a_messages_own_fault(sqlstate: str) -> None:
    assert isinstance(raised(sqlstate), StoreDataError)


#: Of rights, tables, statements, features, protocols, disks, itself, triggers, logins, and of the future.
OTHERS: Final = (
    "42501 42P01 42703 42883 42P10 42804 26000 42P05 0A000 25001 08P01 53100 XX000 XX002 55000 54011 P0001 "
    "38000 F0000 57P03 28P01 3D000 99999"
)


@pytest.mark.parametrize("sqlstate", OTHERS.split())
def test_all_else_is_the_installations_or_the_servers(sqlstate: str) -> None:
    assert isinstance(raised(sqlstate), StoreUnavailable)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014", "25P02"])
def test_what_may_succeed_again_is_a_conflict(sqlstate: str) -> None:
    assert isinstance(raised(sqlstate), StoreConflict)


#: Statements that meet what an installation lacks, and what is to be done.
LACKING: list[tuple[Callable[[Database], Awaitable[Any]], str]] = [
    (lambda database: database.fetch("select * from nowhere"), "wabus migrate"),
    (lambda database: database.fetch("select missing from message_tracking"), "wabus migrate"),
    (lambda database: database.fetch("select missing()"), "wabus migrate"),
    (lambda database: database.execute("execute missing"), "pooler"),
]


@pytest.mark.parametrize(("ask", "advice"), LACKING)
async def test_a_lacking_installation_is_told_with_what_to_do(
    database_url: str, ask: Callable[[Database], Awaitable[Any]], advice: str
) -> None:
    database = Database(database_url)
    with pytest.raises(StoreMisconfigured, match=advice):
        await ask(database)
    await database.close()


async def test_an_argument_that_is_refused_is_not_quoted(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(StoreDataError) as refusal:
        await database.fetch("select $1::integer", "what a customer wrote")
    assert "customer" not in str(refusal.value)
    await database.close()
