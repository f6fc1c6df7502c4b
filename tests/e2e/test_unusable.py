"""Worker processes that PostgreSQL does not let work: live, not ready, saying why, until it does."""

from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.databases import ROLES
from tests.support.http import get
from tests.support.processes import Processes
from tests.support.waiting import until

MESSAGES = 60


async def test_a_worker_that_cannot_work_is_not_ready_and_says_what_to_do(
    cluster: Cluster, processes: Processes
) -> None:
    worker = processes.start_shipped("inbound-resolver")
    await worker.until_ready()
    url = await worker.url()
    await cluster.conn.execute("alter table conversation_mappings rename column contact_name to called")
    await send(cluster, message())
    await worker.until_says("does not let this worker work")

    code, why = await get(url, "/health/ready")
    live, _ = await get(url, "/health/live")

    assert (code, live) == (503, 200)
    assert any("contact_name" in reason and "wabus migrate" in reason for reason in why["reasons"])

    await cluster.conn.execute("alter table conversation_mappings rename column called to contact_name")
    await until(lambda: is_ready(url))
    await until(lambda: len(enriched(cluster)) == 1)


async def test_a_login_that_may_not_write_starts_not_ready_and_no_message_dies(
    cluster: Cluster, processes: Processes
) -> None:
    await cluster.conn.execute(
        "revoke insert, update, delete on all tables in schema public from wabus_worker"
    )
    await send(cluster, *(message(number) for number in range(MESSAGES)))
    worker = processes.start("inbound-resolver")
    said = await worker.until_says("does not let this worker work")
    url = await worker.url()
    code, why = await get(url, "/health")

    assert "schema/roles.sql" in said
    assert code == 503
    assert "no right to work on" in why["checks"]["database"]["error"]
    assert await cluster.depth("inbound-resolver") == MESSAGES

    await cluster.conn.execute(ROLES.read_text())
    await worker.until_ready()
    await until(lambda: len(enriched(cluster)) == MESSAGES)

    assert await cluster.depth("dlq-handler") == 0


async def test_a_scheduler_whose_job_may_not_work_is_not_ready_until_it_may(
    cluster: Cluster, processes: Processes
) -> None:
    scheduler = processes.start("scheduler")
    await scheduler.until_says("this replica schedules")
    url = await scheduler.url()
    await until(lambda: is_ready(url))
    await cluster.conn.execute("alter table outbox_events rename column published_at to let_out_at")
    await until(lambda: is_unready_for(url, "unmarked publications"))
    live, _ = await get(url, "/health/live")
    await cluster.conn.execute("alter table outbox_events rename column let_out_at to published_at")
    await until(lambda: is_ready(url))

    assert live == 200, "a restart would mend nothing"


async def is_ready(url: str) -> bool:
    return (await get(url, "/health/ready"))[0] == 200


async def is_unready_for(url: str, what: str) -> bool:
    code, why = await get(url, "/health/ready")
    return code == 503 and any(what in reason for reason in why["reasons"])
