"""A failure that a status reports, through sandbox, sender, updater and scheduler."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.support.sending import CUSTOMER, PATIENT, Sender
from tests.support.sending import text as text_to
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


@pytest.mark.parametrize(
    ("code", "number", "slowed", "free"),
    [
        (130429, "3001", f"{CUSTOMER[:-3]}201", None),
        (131056, "3002", CUSTOMER, f"{CUSTOMER[:-3]}202"),
    ],
    ids=["the number", "the customer"],
)
async def test_a_rate_limit_that_a_status_tells_slows_as_one_that_an_answer_tells(
    sender: Sender, code: int, number: str, slowed: str, free: str | None
) -> None:
    # Given a message that was accepted
    sender.cluster.durations = replace(
        PATIENT, rate_backoff_s=60.0, pair_backoff_base_s=60.0, status_retry_attempts=1
    )
    async with sender.cluster.running("status-updater"), sender.running():
        await sender.ask(text_to("c1", phone_number_id=number))
        row = await sender.until_status("sent")

        # When a status says that the number, or its customer, gets too much
        status = {"wamid": row["wamid"], "status": "failed", "timestamp": "2026-01-15T10:00:00Z"}
        await sender.cluster.publish("wa.status", "whatsapp", status | {"errors": [{"code": code}]})

        # Then it waits, uncounted, and so does another message of whom it was said, in whichever lane
        await sender.until_deferred("rate_limit")
        await sender.ask(text_to("c2", slowed, phone_number_id=number), "utility")
        await sender.until_deferred("rate_limit", 2)
        if free is not None:
            await sender.ask(text_to("c3", free, phone_number_id=number))
            await sender.until_status("sent", "c3")

    assert await sender.attempts() == [("failed", str(code))]
    assert await sender.attempts("c2") == []
