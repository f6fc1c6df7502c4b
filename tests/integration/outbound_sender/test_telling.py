"""What is told of messages that are not sent now: how one ended, again; that a conversation is unknown."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from shared.amqp.topology import OUTBOUND_REPLY, RETRY
from tests.integration.outbound_sender.test_outbound_sender import set_number, to_conversation
from tests.support.leftovers import count, keys_told
from tests.support.rows import add_mapping
from tests.support.sending import CUSTOMER, Sender, text
from tests.support.tracking import at
from tests.support.waiting import until

ECHO: dict[str, Any] = {"x-wabus-echo": True}
SENT, FAILED, WAITING = "outbound.sent", "outbound.failed", "outbound.waiting"


async def test_a_repetition_that_asks_is_told_how_the_first_one_ended(sender: Sender) -> None:
    asked = text(genesys_message_id="g1", metadata={"ticket": 7}, note="kept")
    async with sender.running():
        await sender.ask(asked)
        await sender.until_status("sent")
        await sender.ask(asked)
        await sender.ask(text("c2"))
        await sender.until_status("sent", "c2")
        await until(lambda: is_told(sender, SENT, 2))
        await sender.ask(asked, **ECHO)
        await until(lambda: is_told(sender, SENT, 3))
        await sender.until_worked()

    first, other, again = sender.cluster.told(SENT)
    assert (first["client_message_id"], other["client_message_id"]) == ("c1", "c2")
    assert again == first
    assert (again["metadata"], again["note"]) == ({"ticket": 7}, "kept")
    keys = keys_told(sender.cluster, SENT)
    assert keys[2] == keys[0] != keys[1]
    assert len(await sender.sandbox.messages()) == 2
    assert await count(sender.cluster, "outbox_events where published_at is null") == 0


async def test_a_repetition_of_what_failed_is_told_its_failure(sender: Sender) -> None:
    expired = text(expires_at=(datetime.now(UTC) - timedelta(seconds=5)).isoformat())
    async with sender.running():
        await sender.ask(expired)
        await sender.until_dead("expired")
        await sender.ask(expired, **ECHO)
        await until(lambda: is_told(sender, FAILED, 2))

    first, again = sender.cluster.told(FAILED)
    assert again == first
    assert again["error"]["code"] == "expired"
    assert len(set(keys_told(sender.cluster, FAILED))) == 1
    assert await sender.dead() == []


async def test_of_what_is_under_way_nothing_is_told_but_its_end(sender: Sender) -> None:
    await set_number(sender, "paused")
    async with sender.running():
        await sender.ask(text())
        await sender.until_deferred("number_paused")
        await sender.ask(text(), **ECHO)
        await sender.until_worked()
    assert sender.cluster.told(SENT) == []
    await set_number(sender, "active")
    await sender.release("number_paused")

    async with sender.running():
        await sender.until_status("sent")
        await sender.until_worked()

    assert len(sender.cluster.told(SENT)) == 1
    assert len(await sender.sandbox.messages()) == 1


async def test_a_message_is_told_of_alone_though_others_share_its_trace(sender: Sender) -> None:
    job = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    async with sender.running():
        for name in ("c1", "c2", "c3"):
            await sender.ask(text(name), **job)
        await until(lambda: is_told(sender, SENT, 3))
        await sender.ask(text("c2"), **ECHO)
        await until(lambda: is_told(sender, SENT, 4))
        await sender.until_worked()

    told = sender.cluster.told(SENT)
    assert [item["client_message_id"] for item in told[3:]] == ["c2"]
    assert {item["trace_id"] for item in told} == {"4bf92f3577b34da6a3ce929d0e0e4736"}


async def test_of_two_ends_the_one_that_stands_is_told_again(sender: Sender) -> None:
    """First a status fails what was sent, then the customer reads it all the same."""
    refused = [{"code": 131026, "title": "undeliverable"}]
    async with sender.running(), sender.cluster.running("status-updater"):
        await sender.ask(text())
        wamid = (await sender.until_status("sent"))["wamid"]
        failed = {"wamid": wamid, "status": "failed", "timestamp": at(1).isoformat(), "errors": refused}
        await sender.cluster.publish("wa.status", "whatsapp", failed)
        await until(lambda: is_told(sender, FAILED, 1))
        await sender.ask(text(), **ECHO)
        await until(lambda: is_told(sender, FAILED, 2))
        read = {"wamid": wamid, "status": "READ", "timestamp": at(2).isoformat()}
        await sender.cluster.publish("wa.status", "whatsapp", read)
        await sender.until_status("read")
        await sender.ask(text(), **ECHO)
        await until(lambda: is_told(sender, SENT, 2))
        await sender.until_worked()

    assert len(set(keys_told(sender.cluster, SENT))) == len(set(keys_told(sender.cluster, FAILED))) == 1
    assert len(sender.cluster.told(FAILED)) == 2


async def test_what_was_replayed_is_told_by_its_replay(sender: Sender) -> None:
    failing = text(expires_at=(datetime.now(UTC) - timedelta(seconds=5)).isoformat())
    async with sender.running():
        await sender.ask(failing)
        headers = await sender.until_dead("expired")
        replay = {"x-replay-of": "2b0d7d9e-0000-4000-8000-000000000000"}
        replay["x-wabus-message-id"] = headers["x-wabus-message-id"]
        await sender.ask(text(), **replay)
        await until(lambda: is_told(sender, SENT, 1))
        await sender.ask(text(), **ECHO)
        await until(lambda: is_told(sender, SENT, 2))
        await sender.until_worked()

    first, again = sender.cluster.told(SENT)
    assert again == first
    assert len(sender.cluster.told(FAILED)) == 1


async def test_whoever_asks_in_the_same_moment_is_answered_under_one_key(sender: Sender) -> None:
    async with sender.running(replicas=2):
        await sender.ask(text())
        await sender.until_status("sent")
        await asyncio.gather(*(sender.ask(text(), **ECHO) for _ in range(20)))
        await until(lambda: len(sender.cluster.told(SENT)) > 1)
        await sender.until_worked()

    assert len(set(keys_told(sender.cluster, SENT))) == 1
    assert len(await sender.sandbox.messages()) == 1
    assert await sender.dead() == []
    assert await count(sender.cluster, "outbox_events where published_at is null") == 0


async def test_who_asked_is_answered_though_the_question_went_through_the_retry_tiers(sender: Sender) -> None:
    channel = sender.cluster.channel
    tiers = await channel.declare_queue(exclusive=True)
    await tiers.bind(RETRY, "#")
    async with sender.running():
        await sender.ask(to_conversation("late"), **ECHO)
        await sender.until_dead("mapping_not_found")
    retried = [message async for message in taken_from(tiers)]
    assert [message.headers["x-wabus-echo"] for message in retried] == [True] * 3
    await add_mapping(sender.cluster.conn, wa_id=CUSTOMER, conversation_id="late")
    async with sender.running():
        await sender.ask(to_conversation("late"))
        await sender.until_status("sent")
        again = aio_pika.Message(retried[0].body, headers=retried[0].headers)
        await channel.default_exchange.publish(again, routing_key=OUTBOUND_REPLY)
        await until(lambda: is_told(sender, SENT, 2))
        await sender.until_worked()

    assert len(set(keys_told(sender.cluster, SENT))) == 1
    assert len(await sender.sandbox.messages()) == 1


async def test_an_unknown_conversation_is_told_at_once_and_once_a_message(sender: Sender) -> None:
    asked = to_conversation("never") | {"genesys_message_id": "g1", "metadata": {"ticket": 7}, "note": "kept"}
    async with sender.running():
        await sender.ask(asked)
        await until(lambda: is_told(sender, WAITING, 1))
        await sender.ask(asked)
        await sender.ask(to_conversation("never", "c2"))
        await until(lambda: is_dead(sender, 3))

    first, second = sender.cluster.told(WAITING)
    assert (first["conversation_id"], first["client_message_id"]) == ("never", "c1")
    assert (first["genesys_message_id"], first["metadata"], first["note"]) == ("g1", {"ticket": 7}, "kept")
    assert second["client_message_id"] == "c2"
    assert len(set(keys_told(sender.cluster, WAITING))) == 2
    assert {headers["x-wabus-reason"] for headers in await sender.dead()} == {"mapping_not_found"}


def is_told(sender: Sender, event_type: str, times: int) -> bool:
    return len(sender.cluster.told(event_type)) == times


async def taken_from(queue: AbstractQueue) -> AsyncIterator[AbstractIncomingMessage]:
    while (message := await queue.get(fail=False, no_ack=True)) is not None:
        yield message


async def is_dead(sender: Sender, letters: int) -> bool:
    return await sender.cluster.depth("dlq-handler") == letters
