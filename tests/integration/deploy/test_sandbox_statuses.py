"""The sandbox's statuses: to a webhook over HTTP, and to `wa.status` on a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aio_pika
import aiohttp
import orjson
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import FieldTable

from deploy.sandbox import Sandbox, SandboxSettings, StatusDelays
from deploy.sandbox.amqp_statuses import CONNECTION_NAME, AmqpStatuses
from deploy.sandbox.webhook_statuses import WebhookStatuses
from shared.payloads import InboundMessage, decode
from tests.support.sandbox import NUMBER, SandboxCaller, WebhookReceiver
from tests.support.servers import Servers
from tests.support.waiting import until

TO = "491700000001"
FAST = SandboxSettings(status_delay_ms=StatusDelays(sent=1, delivered=20, read=40))

SLOW = SandboxSettings(status_delay_ms=StatusDelays(sent=3_600_000, delivered=3_600_000, read=3_600_000))


def kinds(statuses: Iterable[dict[str, Any]]) -> list[str]:
    return [status["status"] for status in statuses]


@dataclass(slots=True)
class Host:
    """A virtual host of its own, and the management API's address of its server."""

    name: str
    url: str
    management_url: str
    client: aiohttp.ClientSession

    async def cut_sandbox(self) -> bool:
        """Closes the sandbox's connection; whether the server knew of one by now."""
        async with self.client.get(f"{self.management_url}/api/vhosts/{self.name}/connections") as answer:
            connections = await answer.json()
        ours = [found["name"] for found in connections if found.get("user_provided_name") == CONNECTION_NAME]
        for name in ours:
            async with self.client.delete(f"{self.management_url}/api/connections/{quote(name)}") as answer:
                answer.raise_for_status()
        return bool(ours)


@pytest.fixture
async def host(servers: Servers) -> AsyncIterator[Host]:
    name = f"sandbox-{uuid4().hex[:8]}"
    address = f"{servers.rabbitmq_management_url}/api/vhosts/{name}"
    async with aiohttp.ClientSession() as client:
        async with client.put(address) as answer:
            answer.raise_for_status()
        yield Host(
            name, f"{servers.rabbitmq_url.rstrip('/')}/{name}", servers.rabbitmq_management_url, client
        )
        async with client.delete(address) as answer:
            answer.raise_for_status()


@pytest.fixture
async def channel(host: Host) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(host.url) as connection:
        yield await connection.channel()


async def declare_queue(channel: AbstractChannel) -> AbstractQueue:
    """The exchanges of statuses and of messages as the topology has them, and a queue that hears all of both.

    As the alternate of those exchanges it misses none that comes before a binding could be made.
    """
    unrouted = await channel.declare_exchange("wa.unrouted", "topic", durable=True)
    queue = await channel.declare_queue("heard", durable=True)
    await queue.bind(unrouted, "#")
    alternate: FieldTable = {"alternate-exchange": unrouted.name}
    for exchange in ("wa.inbound", "wa.status"):
        await channel.declare_exchange(exchange, "topic", durable=True, arguments=alternate)
    return queue


async def hear(queue: AbstractQueue, count: int) -> list[dict[str, Any]]:
    """The next `count` bodies in order."""
    heard: list[dict[str, Any]] = []

    async def are_heard() -> bool:
        if (message := await queue.get(fail=False, no_ack=True)) is not None:
            heard.append(orjson.loads(message.body))
        return len(heard) == count

    await until(are_heard)
    return heard


async def test_statuses_reach_a_webhook_in_metas_shape() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        wamid = (await caller.send(TO, biz_opaque_callback_data="m:1")).wamid
        statuses = await receiver.wait_for(lambda heard: len(heard) == 3)

    assert kinds(statuses) == ["sent", "delivered", "read"]
    assert {(status["id"], status["recipient_id"]) for status in statuses} == {(wamid, TO)}
    assert {status["biz_opaque_callback_data"] for status in statuses} == {"m:1"}
    assert all(status["timestamp"].isdigit() for status in statuses)
    assert [sorted(set(status) & {"pricing", "conversation"}) for status in statuses] == [
        ["conversation", "pricing"],
        ["pricing"],
        [],
    ]
    body = receiver.bodies[0]
    assert body["object"] == "whatsapp_business_account"
    change = body["entry"][0]["changes"][0]

    assert change["field"] == "messages"
    assert change["value"]["metadata"]["phone_number_id"] == NUMBER


async def test_a_webhook_that_refuses_hears_the_statuses_later() -> None:
    async with (
        WebhookReceiver.running(refusals=2) as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.send(TO)
        statuses = await receiver.wait_for(lambda heard: len(heard) == 3)

    assert sorted(kinds(statuses)) == ["delivered", "read", "sent"]


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("912", ["failed"]), ("913", ["read", "delivered", "sent"] * 2), ("914", ["sent", "delivered", "read"])],
)
async def test_some_recipients_have_statuses_of_their_own(digits: str, expected: list[str]) -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        assert (await caller.send(f"491700000{digits}")).status == 200
        statuses = await receiver.wait_for(lambda heard: len(heard) >= len(expected))

    assert kinds(statuses) == expected


async def test_912_says_why_it_failed() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.send("491700000912")
        (failed,) = await receiver.wait_for(bool)

    assert failed["errors"][0]["code"] == 131000
    assert failed["errors"][0]["error_data"]["details"]


async def test_914_tells_the_first_status_before_it_answers() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=SLOW, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.send("491700000914")

        assert kinds(receiver.statuses) == ["sent"]
        assert (await caller.stats())["statuses_waiting"] == 2


async def test_a_caller_who_hangs_up_between_status_and_answer_is_told_all_the_same() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        sending = asyncio.create_task(caller.send("491700000914"))
        await receiver.wait_for(lambda heard: len(heard) >= 1)
        sending.cancel()
        await receiver.wait_for(lambda heard: set(kinds(heard)) == {"sent", "delivered", "read"})
        [accepted] = await caller.messages()

        assert {status["id"] for status in receiver.statuses} == {accepted["wamid"]}


async def test_reset_forgets_the_statuses_that_wait() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=SLOW, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.send(TO)
        assert (await caller.stats())["statuses_waiting"] == 3

        await caller.reset()

        assert (await caller.stats())["statuses_waiting"] == 0


@pytest.mark.parametrize("digits", ["903", "904"])
async def test_a_message_without_an_answer_was_sent_all_the_same(digits: str) -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        with pytest.raises((TimeoutError, aiohttp.ServerDisconnectedError)):
            await caller.send(f"491700000{digits}", timeout_s=3)
        statuses = await receiver.wait_for(lambda heard: len(heard) == 3)
        wamids = {message["wamid"] for message in await caller.messages()}

    assert {status["id"] for status in statuses} == wamids


async def test_statuses_stop_and_start_with_the_setting() -> None:
    async with (
        WebhookReceiver.running() as receiver,
        Sandbox.running(settings=FAST, sink=WebhookStatuses(receiver.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.change(statuses=False)
        await caller.send(TO)
        await caller.change(statuses=True, status_delay_ms={"delivered": None})
        wamid = (await caller.send(TO)).wamid
        statuses = await receiver.wait_for(lambda heard: len(heard) == 2)

    assert [(status["id"], status["status"]) for status in statuses] == [(wamid, "sent"), (wamid, "read")]


async def test_repeats_and_reordering_follow_the_seed() -> None:
    async def play() -> list[str]:
        async with (
            WebhookReceiver.running() as receiver,
            Sandbox.running(sink=WebhookStatuses(receiver.url), seed=5) as sandbox,
            SandboxCaller.connected(sandbox.url) as caller,
        ):
            # so far apart that the order of telling is the plan's, not the machine's
            delays = {"sent": 50, "delivered": 400, "read": 800}
            await caller.change(repeat=1, reorder=0.5, status_delay_ms=delays)
            await caller.send(TO, biz_opaque_callback_data="m:1")
            return kinds(await receiver.wait_for(lambda heard: len(heard) == 6))

    first, second = await asyncio.gather(play(), play())

    assert first == second
    assert sorted(first) == sorted(["sent", "delivered", "read"] * 2)


async def test_statuses_are_published_as_status_updates(host: Host, channel: AbstractChannel) -> None:
    queue = await declare_queue(channel)
    async with (
        Sandbox.running(settings=FAST, sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        wamid = (await caller.send(TO, biz_opaque_callback_data="m:1")).wamid
        updates = await hear(queue, 3)

    assert kinds(updates) == ["sent", "delivered", "read"]
    assert {(update["wamid"], update["recipient_id"]) for update in updates} == {(wamid, TO)}
    assert {update["callback_data"] for update in updates} == {"m:1"}
    assert all(update["timestamp"].isdigit() for update in updates)


async def test_a_published_failure_carries_its_error(host: Host, channel: AbstractChannel) -> None:
    queue = await declare_queue(channel)
    async with (
        Sandbox.running(settings=FAST, sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.send(None, recipient="DE.88912")
        (update,) = await hear(queue, 1)

    assert (update["status"], update["recipient_user_id"]) == ("failed", "DE.88912")
    (error,) = update["errors"]

    assert error.keys() == {"code", "title", "message", "details"}
    assert error["code"] == 131000


async def test_a_changed_number_is_published_as_an_inbound_message(
    host: Host, channel: AbstractChannel
) -> None:
    queue = await declare_queue(channel)
    async with (
        Sandbox.running(sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        told = await caller.change_customer(from_=TO, to="491700000002", phone_number_id=NUMBER)
        (body,) = await hear(queue, 1)

    message = decode(InboundMessage, orjson.dumps(body))
    assert message.content == told.body["message"]
    assert (message.wa_id, message.user_id) == (TO, told.body["message"]["from_user_id"])
    assert (message.message_type, message.phone_number_id) == ("system", NUMBER)


async def test_a_hidden_customer_s_change_is_published_under_the_id(
    host: Host, channel: AbstractChannel
) -> None:
    queue = await declare_queue(channel)
    async with (
        Sandbox.running(settings=SandboxSettings(hide_phones=True), sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        await caller.change_customer(from_user_id="DE.8842", to_user_id="DE.8843")
        (body,) = await hear(queue, 1)

    message = decode(InboundMessage, orjson.dumps(body))
    assert (message.wa_id, message.user_id, message.phone_number_id) == ("DE.8842", "DE.8842", None)


async def test_statuses_wait_in_memory_until_the_exchange_is_there(
    host: Host, channel: AbstractChannel
) -> None:
    async with (
        Sandbox.running(settings=FAST, sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        wamids = [(await caller.send(TO)).wamid for _ in range(5)]
        assert (await caller.stats())["statuses_delivered"] == 0
        queue = await declare_queue(channel)
        updates = await hear(queue, 15)

    assert {update["wamid"] for update in updates} == set(wamids)


async def test_a_cut_connection_loses_no_status(host: Host, channel: AbstractChannel) -> None:
    queue = await declare_queue(channel)
    async with (
        Sandbox.running(settings=FAST, sink=AmqpStatuses(host.url)) as sandbox,
        SandboxCaller.connected(sandbox.url) as caller,
    ):
        first = (await caller.send(TO)).wamid
        assert len(await hear(queue, 3)) == 3
        await until(host.cut_sandbox)
        second = (await caller.send(TO)).wamid
        updates = await hear(queue, 3)

    assert first != second
    assert {(update["wamid"], update["status"]) for update in updates} == {
        (second, status) for status in ("sent", "delivered", "read")
    }
