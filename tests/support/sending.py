"""A cluster with a sandbox behind its sender, and what tests of sending ask of both."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import aio_pika
import aiohttp
import pytest

from deploy.sandbox.amqp_statuses import AmqpStatuses
from deploy.sandbox.server import Sandbox
from deploy.sandbox.settings import SandboxSettings
from shared.amqp.topology import LANES
from shared.durable.deferral import DeferralStore, Window
from shared.postgres.database import Database
from shared.running.process import WorkerProcess
from tests.support.cluster import Cluster
from tests.support.paces import FAST
from tests.support.sandbox import SandboxCaller
from tests.support.waiting import until

NUMBER = "1001"
CUSTOMER = "491700000001"
TOKEN = "secret-token"

#: No patience that runs out while the machine stalls: tests of what follows when one does name their own.
PATIENT: Final = replace(
    FAST, held_in_hand_s=10.0, http_timeout_s=20.0, claim_start_s=20.0, redis_call_s=10.0
)


@dataclass
class Sender:
    """What the tests of the sender stand on."""

    cluster: Cluster
    sandbox: SandboxCaller
    url: str

    @asynccontextmanager
    async def running(self, replicas: int = 1, **environ: str) -> AsyncIterator[list[WorkerProcess]]:
        """Run senders until the block ends."""
        settings = {"WHATSAPP_API_URL": self.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
        settings |= {"WHATSAPP_NUMBER_MPS": "100000"} | environ
        async with self.cluster.running(*["outbound-sender"] * replicas, **settings) as processes:
            yield processes

    @asynccontextmanager
    async def with_statuses(self) -> AsyncIterator[None]:
        """Put a sandbox in place that publishes statuses, fast, until the block ends."""
        settings = SandboxSettings.model_validate(
            {"token": TOKEN, "status_delay_ms": {"sent": 20, "delivered": 40, "read": 60}}
        )
        before = self.url, self.sandbox
        sink = AmqpStatuses(self.cluster.rabbitmq_url)
        async with (
            Sandbox.running(settings=settings, sink=sink) as sandbox,
            SandboxCaller.connected(sandbox.url) as caller,
        ):
            self.url, self.sandbox = sandbox.url, caller
            yield
        self.url, self.sandbox = before

    async def ask(self, message: dict[str, Any], lane: str = "reply", **headers: Any) -> None:
        """Publish a message as an agent's gateway does."""
        key = message.get("conversation_id") or message.get("wa_id")
        await self.cluster.publish("wa.outbound", f"{lane}.{key}", message, headers)

    async def row(self, client_id: str = "c1") -> dict[str, Any]:
        """The tracked message of a client's id that is no replay."""
        row = await self.cluster.conn.fetchrow(
            "select * from message_tracking where client_message_id = $1 and replay_of is null", client_id
        )
        assert row is not None, f"no message {client_id}"
        return dict(row)

    async def attempts(self, client_id: str = "c1") -> list[tuple[Any, ...]]:
        """(outcome, error code) of each attempt, in order."""
        rows = await self.cluster.conn.fetch(
            """select attempt.outcome, attempt.error_code from send_attempts as attempt
               join message_tracking as tracked on tracked.id = attempt.message_id
               where tracked.client_message_id = $1 order by tracked.seq, attempt.attempt""",
            client_id,
        )
        return [tuple(row) for row in rows]

    async def deferred(self) -> list[str]:
        """Reasons of what is stored for later, oldest first."""
        rows = await self.cluster.conn.fetch("select reason from deferred_messages order by seq")
        return [row["reason"] for row in rows]

    async def until_status(self, status: str, client_id: str = "c1") -> dict[str, Any]:
        """Wait for a message's status; gives its row."""
        where = "client_message_id = $1 and status = $2"
        await until(lambda: self._exists(f"message_tracking where {where}", client_id, status))
        return await self.row(client_id)

    async def until_deferred(self, reason: str, count: int = 1) -> None:
        """Wait until so many messages are stored for that reason."""
        await until(lambda: self._is_deferred(reason, count))

    async def until_worked(self) -> None:
        """Wait until a sender has all in hand; what it began is finished when it stops."""
        await until(self._is_worked)

    async def dead(self) -> list[dict[str, Any]]:
        """Headers of the dead letters so far, taken from their queue."""
        return [dict(item.headers) for item in await self.cluster.take("dlq-handler")]

    async def until_dead(self, reason: str) -> dict[str, Any]:
        """Wait for a dead letter; gives its headers."""
        await until(self._has_dead)
        [headers] = await self.dead()
        assert headers["x-wabus-reason"] == reason, headers
        return headers

    async def release(self, reason: str) -> None:
        """Publish what is stored for that reason, as the scheduler does when it is due."""
        conn = self.cluster.conn
        await conn.execute("update deferred_messages set not_before = now() where reason = $1", reason)
        database = Database(self.cluster.database_url)
        try:
            store, everything = DeferralStore(database, self.cluster.durations), Window(500, 500)
            due = [row for queue in LANES for row in await store.claim_due(queue, everything)]
            await store.unclaim([row.id for row in due if row.reason != reason])
        finally:
            await database.close()
        for row in [row for row in due if row.reason == reason]:
            item = row.publication
            headers = item.headers | {"x-attempt": item.attempt, "x-idempotency-key": item.idempotency_key}
            await self.cluster.channel.default_exchange.publish(
                aio_pika.Message(item.body, headers=headers, correlation_id=item.correlation_id),
                routing_key=item.routing_key,
            )

    async def _exists(self, rows: str, *arguments: object) -> bool:
        return bool(await self.cluster.conn.fetchval(f"select exists (select from {rows})", *arguments))

    async def _is_deferred(self, reason: str, count: int) -> bool:
        return (await self.deferred()).count(reason) >= count

    async def _has_dead(self) -> bool:
        return await self.cluster.depth("dlq-handler") > 0

    async def _is_worked(self) -> bool:
        queues = ("outbound-sender", "outbound-sender.utility", "outbound-sender.bulk")
        return not any([await self.cluster.depth(queue) for queue in queues])


def text(
    client_id: str = "c1", customer: str = CUSTOMER, body: str = "hello", **fields: Any
) -> dict[str, Any]:
    """A text to a customer."""
    return {
        "client_message_id": client_id,
        "wa_id": customer,
        "message_text": body,
        "phone_number_id": NUMBER,
    } | fields


@pytest.fixture
async def sender(cluster: Cluster) -> AsyncIterator[Sender]:
    """A cluster and a sandbox that sends no statuses."""
    cluster.durations = PATIENT
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox.running(settings=SandboxSettings(token=TOKEN)))
        client = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        )
        yield Sender(cluster, SandboxCaller(client, sandbox.url), sandbox.url)
