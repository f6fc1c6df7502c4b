"""A failure that a status reports, through sandbox, sender, updater and scheduler."""

from dataclasses import replace
from typing import Any

import orjson

from tests.support.sending import CUSTOMER, PATIENT, Sender
from tests.support.waiting import until


def text(customer: str, client_id: str = "c1") -> dict[str, Any]:
    return {"wa_id": customer, "client_message_id": client_id, "message_text": "hello", "metadata": {"a": 1}}


async def test_912_is_sent_three_times_and_then_fails_once(sender: Sender) -> None:
    customer = f"{CUSTOMER[:-3]}912"
    sender.cluster.durations = replace(PATIENT, unmarked_after_s=60.0)
    workers = ("status-updater", "scheduler", "dlq-handler")
    async with sender.with_statuses(), sender.cluster.running(*workers), sender.running():
        await sender.ask(text(customer))
        row = await sender.until_status("failed")
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)
        await until(lambda: len(sender.cluster.told("deadletter.stored")) == 1)
        await sender.until_worked()
        accepted = await sender.sandbox.messages()
    assert await sender.attempts() == [("failed", "131000")] * 3
    assert [item["callback_data"] for item in accepted] == [f"{row['id']}:{number}" for number in (1, 2, 3)]
    assert (row["wamid"], row["error_code"]) == (accepted[-1]["wamid"], "131000")
    assert len(sender.cluster.told("outbound.sent")) == 1
    [failed] = sender.cluster.told("outbound.failed")
    assert (failed["metadata"], failed["error"]["code"]) == ({"a": 1}, "131000")
    assert [item["new_status"] for item in sender.cluster.told("message.updated")] == ["sent", "failed"]
    letter = await sender.cluster.conn.fetchrow("select * from dead_letter_queue")
    assert letter is not None
    assert (letter["reason"], letter["message_id"]) == ("max_retries_exceeded", row["id"])
    assert orjson.loads(letter["raw_body"]) == text(customer)
    assert await sender.deferred() == []
