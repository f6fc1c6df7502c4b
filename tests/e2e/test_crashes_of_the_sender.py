"""The outbound sender killed between any two of its steps: sent once, save a reply of unknown fate.

The messages are one customer's: they go one after the other, and exactly one is under way at the crash.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.e2e.points import after, before, before_ack, commit_to_publish, publish_to_mark
from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.dead_letters import letters
from tests.support.leftovers import count, is_all_told, keys_told, nothing_waits, work_off
from tests.support.processes import Processes
from tests.support.sending import CUSTOMER, NUMBER, Sender, text
from tests.support.waiting import until

_ANSWERED: Final = after("workers.outbound_sender.calling.cloud_api:CloudApi.send")
_CLAIMED: Final = before("workers.outbound_sender.calling.cloud_api:CloudApi.send")
_PUT_OFF: Final = before("shared.consuming.settlement:Settlement.settle", showing="is_stored=True")
_RESULTS: Final = "workers.outbound_sender.results.store:ResultStore"
_PUBLISH: Final = "shared.amqp.kept.publisher:KeptPublisher.publish"
_MESSAGES: Final = 4
_ENDS: Final = "('sent', 'delivered', 'read', 'failed')"


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before("workers.outbound_sender.intake.store:IntakeStore.track"), id="before the row"),
        pytest.param(before("workers.outbound_sender.claiming.store:ClaimStore.claim"), id="row to claim"),
        pytest.param(_CLAIMED, id="claim to request"),
        pytest.param(commit_to_publish("outbound.sent"), id="commit to publish"),
        pytest.param(publish_to_mark("outbound.sent"), id="publish to mark"),
        pytest.param(before_ack("outbound-sender"), id="mark to ack"),
    ],
)
async def test_a_reply_is_sent_once_and_told_under_one_key(
    sender: Sender, processes: Processes, point: CrashPoint
) -> None:
    await ask_all(sender, "reply")
    await processes.crash("outbound-sender", point)
    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster))
    assert await accepted(sender) == [1] * _MESSAGES
    await assert_all_sent(sender.cluster)


async def test_what_a_burst_put_off_is_sent_once_though_its_delivery_comes_again(
    sender: Sender, processes: Processes
) -> None:
    await ask_all(sender, "reply", messages=0)
    for number in range(_MESSAGES):
        await sender.ask(text(f"c{number}", f"{CUSTOMER[:-1]}{number}"))

    await processes.crash("outbound-sender", _PUT_OFF, WHATSAPP_NUMBER_MPS="1")
    assert await count(sender.cluster, "deferred_messages") > 0

    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster))
    to = Counter(message["to"] for message in await sender.sandbox.messages())
    assert sorted(to.values()) == [1] * _MESSAGES
    await assert_all_sent(sender.cluster)


async def test_a_reply_of_unknown_fate_is_sent_again_once(sender: Sender, processes: Processes) -> None:
    await ask_all(sender, "reply")
    await processes.crash("outbound-sender", _ANSWERED)
    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster))
    assert await accepted(sender) == [2, 1, 1, 1]
    await assert_all_sent(sender.cluster)


async def test_a_reply_of_unknown_fate_is_not_sent_a_third_time(sender: Sender, processes: Processes) -> None:
    await ask_all(sender, "reply", messages=1)
    await processes.crash("outbound-sender", _ANSWERED)
    async with sender.cluster.running("scheduler"):
        await processes.crash("outbound-sender", _ANSWERED)
    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster, messages=1))

    assert await accepted(sender) == [2]
    assert (await sender.row("c0"))["error_code"] == "send_ambiguous"
    assert len(set(keys_told(sender.cluster, "outbound.failed"))) == 1
    assert keys_told(sender.cluster, "outbound.sent") == []
    assert await count(sender.cluster, "dead_letter_queue where reason = 'send_ambiguous'") == 1


@pytest.mark.parametrize("lane", ["utility", "bulk"])
async def test_other_lanes_never_send_twice_what_is_unknown(
    sender: Sender, processes: Processes, lane: str
) -> None:
    await ask_all(sender, lane)
    await processes.crash("outbound-sender", _ANSWERED)
    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster))

    assert await accepted(sender) == [1] * _MESSAGES
    assert (await sender.row("c0"))["error_code"] == "send_ambiguous"
    assert len(set(keys_told(sender.cluster, "outbound.failed"))) == 1
    assert len(set(keys_told(sender.cluster, "outbound.sent"))) == _MESSAGES - 1
    assert await count(sender.cluster, "dead_letter_queue where reason = 'send_ambiguous'") == 1


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(commit_to_publish("outbound.sent"), id="asked to publish"),
        pytest.param(publish_to_mark("outbound.sent"), id="publish to mark"),
        pytest.param(before_ack("outbound-sender"), id="mark to ack"),
    ],
)
async def test_an_end_that_is_asked_for_is_told_again_under_its_key(
    sender: Sender, processes: Processes, point: CrashPoint
) -> None:
    cluster = sender.cluster
    await ask_all(sender, "reply", messages=1)
    async with recovering(cluster):
        await until(lambda: is_over(cluster, messages=1))
    await sender.ask(text("c0"), "reply", **{"x-wabus-echo": True})
    await processes.crash("outbound-sender", point)
    async with recovering(cluster):
        await until(lambda: is_over(cluster, messages=1))

    assert await accepted(sender) == [1]
    told = keys_told(cluster, "outbound.sent")
    assert len(told) > 1
    assert len(set(told)) == 1


async def test_a_conversation_that_is_unknown_is_told_though_its_sender_dies_before(
    sender: Sender, processes: Processes
) -> None:
    cluster = sender.cluster
    await ask_all(sender, "reply", messages=1, conversation_id="never")
    await processes.crash("outbound-sender", commit_to_publish("outbound.waiting"))
    async with recovering(cluster, "dlq-handler"):
        await until(lambda: len(keys_told(cluster, "outbound.failed")) > 0)
        await until(lambda: is_all_told(cluster))

    assert len(set(keys_told(cluster, "outbound.waiting"))) == 1


async def test_a_claim_without_a_request_is_sent_where_the_message_says_resend(
    sender: Sender, processes: Processes
) -> None:
    await ask_all(sender, "utility", on_ambiguous="resend")
    await processes.crash("outbound-sender", _CLAIMED)
    async with recovering(sender.cluster):
        await until(lambda: is_over(sender.cluster))
    assert await accepted(sender) == [1] * _MESSAGES
    await assert_all_sent(sender.cluster)


@pytest.mark.parametrize("lane", ["reply", "utility"])
async def test_a_status_proves_that_an_unknown_send_went_out(
    sender: Sender, processes: Processes, lane: str
) -> None:
    async with sender.with_statuses():
        await ask_all(sender, lane)
        await processes.crash("outbound-sender", _ANSWERED)
        # the wait outlasts the updater's storing of what it has in hand
        sender.cluster.durations = replace(
            sender.cluster.durations, ambiguous_wait_s=5.0, ambiguous_max_s=30.0
        )
        async with recovering(sender.cluster, "status-updater"):
            await until(lambda: is_over(sender.cluster))
            await until(lambda: _are_read(sender.cluster))
        assert await accepted(sender) == [1] * _MESSAGES
    await assert_all_sent(sender.cluster)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(after(f"{_RESULTS}._write"), id="commit to dead"),
        pytest.param(before(_PUBLISH, showing="x-wabus-reason"), id="before the dead letter"),
        pytest.param(after(_PUBLISH, showing="x-wabus-reason"), id="dead to ack"),
    ],
)
@pytest.mark.parametrize(
    ("ending", "fields", "reason", "error"),
    [
        ("906", {}, "send_rejected", "131047: More than 24 hours have passed"),
        ("001", {"expires_at": "2026-01-15T10:00:00Z"}, "expired", "expire"),
    ],
    ids=["refused", "expired"],
)
async def test_a_failed_message_is_among_the_dead_once(
    sender: Sender,
    processes: Processes,
    point: CrashPoint,
    ending: str,
    fields: dict[str, Any],
    reason: str,
    error: str,
) -> None:
    cluster = sender.cluster
    await ask_all(sender, "reply", messages=1, customer=CUSTOMER[:-3] + ending, **fields)
    await processes.crash("outbound-sender", point)
    async with recovering(cluster, "dlq-handler"):
        await until(lambda: is_over(cluster, messages=1))
    await work_off(cluster, "outbound-sender", "dlq-handler")
    [letter] = await letters(cluster)

    assert (letter["reason"], letter["message_id"]) == (reason, (await sender.row("c0"))["id"])
    assert letter["error_message"].startswith(error)
    assert len(set(keys_told(cluster, "outbound.failed"))) == 1
    assert len(await sender.attempts("c0")) == (ending == "906")


async def ask_all(sender: Sender, lane: str, messages: int = _MESSAGES, **fields: Any) -> None:
    """Ask for messages to one customer. All workers of the cluster know the sandbox from here on."""
    sender.cluster.environ |= {
        "WHATSAPP_API_URL": sender.url,
        "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
        "WHATSAPP_NUMBER_MPS": "100000",
    }
    for number in range(messages):
        await sender.ask(text(f"c{number}", **fields), lane)


@asynccontextmanager
async def recovering(cluster: Cluster, *others: str) -> AsyncIterator[None]:
    """Healthy workers, patient with a busy machine."""
    cluster.durations = replace(
        cluster.durations, http_timeout_s=10.0, claim_start_s=10.0, held_in_hand_s=10.0
    )
    async with cluster.running("outbound-sender", "scheduler", *others):
        yield


async def is_over(cluster: Cluster, messages: int = _MESSAGES) -> bool:
    """Every message has ended, all is told, nothing waits."""
    return (
        await count(cluster, f"message_tracking where status in {_ENDS}") == messages
        and await count(cluster, "deferred_messages") == 0
        and await is_all_told(cluster)
        and await nothing_waits(cluster)
    )


async def accepted(sender: Sender) -> list[int]:
    """How often the platform took each message; it took them first in the order of their asking."""
    ids = [str(message["callback_data"]).partition(":")[0] for message in await sender.sandbox.messages()]
    times = Counter(ids)
    rows = await sender.cluster.conn.fetch("select id from message_tracking order by client_message_id")
    assert list(times) == [str(row["id"]) for row in rows]
    return list(times.values())


async def assert_all_sent(cluster: Cluster) -> None:
    """None failed; each `outbound.sent` has one key, however often it went out."""
    assert await count(cluster, "message_tracking where status <> 'failed'") == _MESSAGES
    assert len(set(keys_told(cluster, "outbound.sent"))) == _MESSAGES
    assert keys_told(cluster, "outbound.failed") == []
    assert await count(cluster, "dead_letter_queue") == 0


async def _are_read(cluster: Cluster) -> bool:
    return await count(cluster, "message_tracking where status = 'read'") == _MESSAGES
