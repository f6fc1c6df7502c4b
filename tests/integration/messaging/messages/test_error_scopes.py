"""Whose fault an error is, on real servers: a recipient's, a template's, a number's, or nobody's of ours."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.support.rows import add_campaign, insert
from tests.support.sending import NUMBER, PATIENT, Sender, text
from tests.support.waiting import until

#: Looked at again only when a test says so.
STILL = replace(PATIENT, spam_hold_s=3600.0)
TEMPLATE = {
    "name": "welcome",
    "language": "en",
    "components": [
        {"type": "body", "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "x" * 900}]}
    ],
}
#: As its campaign was launched: each placeholder is a column of the list.
UNFILLED = {
    "name": "welcome",
    "language": "en",
    "components": [
        {"type": "header", "parameters": []},
        {
            "type": "body",
            "parameters": [{"type": "text", "text": "{{name}}"}, {"type": "text", "text": "{{ offer }}"}],
        },
    ],
}


def customer(place: int, digits: str = "000") -> str:
    return f"49170{place:04}{digits}"


async def launch(sender: Sender, customers: list[str], status: str = "running") -> None:
    """A campaign whose recipients are all queued."""
    conn = sender.cluster.conn
    template = orjson.dumps(UNFILLED).decode()
    await add_campaign(conn, id="spring", status=status, phone_number_id=NUMBER, template=template)
    for wa_id in customers:
        await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=wa_id, status="queued")


async def ask(sender: Sender, wa_id: str) -> None:
    message = text(f"campaign:spring:{wa_id}", wa_id, campaign_id="spring", message_text=None)
    await sender.ask(message | {"template": TEMPLATE}, "bulk")


async def recipients(sender: Sender) -> dict[str, str]:
    rows = await sender.cluster.conn.fetch("select wa_id, status from broadcast_recipients")
    return {row["wa_id"]: row["status"] for row in rows}


async def has_recipients(sender: Sender, expected: dict[str, str]) -> bool:
    return await recipients(sender) == expected


async def campaign(sender: Sender) -> Any:
    return await sender.cluster.conn.fetchrow("select * from broadcast_campaigns")


async def report(sender: Sender, wa_id: str, *errors: dict[str, Any], status: str = "failed") -> None:
    """The platform's status of a campaign's message that was accepted."""
    row = await sender.row(f"campaign:spring:{wa_id}")
    told = {"wamid": row["wamid"], "status": status, "timestamp": "2026-01-15T10:00:00Z"}
    await sender.cluster.publish("wa.status", "whatsapp", told | {"errors": list(errors)})


async def resume_number(sender: Sender) -> None:
    await sender.cluster.conn.execute("update business_numbers set state = 'active', since = now()")
    await sender.release("number_paused")


async def number(sender: Sender) -> Any:
    return await sender.cluster.conn.fetchrow("select * from business_numbers")


async def test_account_trouble_that_statuses_tell_burns_nobody(sender: Sender) -> None:
    sender.cluster.durations = STILL
    people = [customer(place) for place in range(5)]
    async with sender.cluster.running("status-updater"), sender.running():
        await launch(sender, people)
        for wa_id in people:
            await ask(sender, wa_id)
        await until(lambda: has_recipients(sender, dict.fromkeys(people, "sent")))
        await sender.cluster.conn.execute(
            "update broadcast_campaigns set status = 'done', finished_at = now()"
        )
        for wa_id in people:
            await report(sender, wa_id, {"code": 131031, "title": "Account has been locked"})
        await sender.until_deferred("number_paused", 5)
        row = await number(sender)
        assert (row["state"], row["reason"], row["changed_by"]) == (
            "paused",
            "131031: Account has been locked",
            "status-updater",
        )
        assert await recipients(sender) == dict.fromkeys(people, "queued")
        assert (await campaign(sender))["status"] == "running"
        await until(lambda: bool(sender.cluster.told("campaign.updated")))
        assert len(await sender.sandbox.messages()) == 5
        await resume_number(sender)
        await until(lambda: has_recipients(sender, dict.fromkeys(people, "sent")))

    assert await sender.attempts(f"campaign:spring:{people[0]}") == [("failed", "131031"), ("sent", None)]
    assert sender.cluster.told("outbound.failed") == []
    assert len(sender.cluster.told("campaign.updated")) == 1


async def test_916_is_accepted_and_then_pauses_its_number(sender: Sender) -> None:
    sender.cluster.durations = STILL
    async with sender.with_statuses(), sender.cluster.running("status-updater"), sender.running():
        await sender.ask(text(customer=customer(1, "916")))
        await sender.until_deferred("number_paused")
        assert (await number(sender))["state"] == "paused"
        assert (await sender.row())["status"] == "sent"

    assert await sender.attempts() == [("failed", "131031")]
    assert await sender.dead() == []


async def test_a_status_from_before_a_resume_pauses_nothing_and_its_message_goes_again(
    sender: Sender,
) -> None:
    sender.cluster.durations = STILL
    wa_id = customer(1)
    async with sender.cluster.running("status-updater"), sender.running():
        await launch(sender, [wa_id])
        await ask(sender, wa_id)
        await until(lambda: has_recipients(sender, {wa_id: "sent"}))
        await insert(sender.cluster.conn, "business_numbers", phone_number_id=NUMBER)
        await report(sender, wa_id, {"code": 131042})
        await sender.until_deferred("number_paused")
        assert (await number(sender))["state"] == "active"
        await sender.release("number_paused")
        await until(lambda: has_recipients(sender, {wa_id: "sent"}))

    assert len(await sender.sandbox.messages()) == 2


async def test_a_template_that_a_status_calls_paused_pauses_the_campaign(sender: Sender) -> None:
    sender.cluster.durations = STILL
    wa_id = customer(1)
    async with sender.cluster.running("status-updater"), sender.running():
        await launch(sender, [wa_id, customer(2)])
        await ask(sender, wa_id)
        await until(lambda: has_recipients(sender, {wa_id: "sent", customer(2): "queued"}))
        await report(sender, wa_id, {"code": 132015, "title": "Template is Paused"})
        await sender.until_deferred("campaign_paused")
        assert await recipients(sender) == {wa_id: "pending", customer(2): "queued"}
        row = await campaign(sender)
        assert (row["status"], row["status_reason"]) == ("paused", "132015: Template is Paused")
        await sender.cluster.conn.execute("update broadcast_campaigns set status = 'running'")
        await sender.release("campaign_paused")
        await until(lambda: has_recipients(sender, {wa_id: "sent", customer(2): "queued"}))

    assert await sender.attempts(f"campaign:spring:{wa_id}") == [("failed", "132015"), ("sent", None)]


@pytest.mark.parametrize("is_known", [False, True], ids=["a new number", "a known number"])
async def test_marketing_is_held_for_every_replica_also_one_that_starts_later(
    sender: Sender, is_known: bool
) -> None:
    sender.cluster.durations = STILL
    if is_known:
        await insert(sender.cluster.conn, "business_numbers", phone_number_id=NUMBER)
    await sender.sandbox.change(fault={"code": 131048, "http_status": 400, "times": 1})
    async with sender.running():
        await sender.ask(text(), "bulk")
        await sender.until_deferred("rate_limit")
    left_s = await sender.cluster.conn.fetchval(
        "select extract(epoch from marketing_held_until - now())::float8 from business_numbers"
    )
    assert 3000 < left_s <= 3600
    async with sender.running():
        await sender.ask(text("c2", customer(2)), "bulk")
        await sender.until_deferred("rate_limit", 2)
        await sender.ask(text("c3", customer(3)))
        await sender.until_status("sent", "c3")

    assert await sender.attempts("c2") == []


async def test_a_value_too_long_fails_its_recipient_once_somebody_was_accepted(sender: Sender) -> None:
    good, bad = customer(1), customer(2, "917")
    async with sender.running():
        await launch(sender, [good, bad])
        await ask(sender, good)
        await until(lambda: has_recipients(sender, {good: "sent", bad: "queued"}))
        await ask(sender, bad)
        await sender.until_dead("send_rejected")
    row = await sender.row(f"campaign:spring:{bad}")

    assert (row["error_code"], row["error_message"]) == (
        "132005",
        "Translated text too long. [body variable 2 from column offer (900 characters)]",
    )
    assert await recipients(sender) == {good: "sent", bad: "failed"}
    assert (await campaign(sender))["status"] == "running"


async def test_three_recipients_refused_before_anybody_is_accepted_pause_the_campaign(
    sender: Sender,
) -> None:
    sender.cluster.durations = replace(STILL, retry_tier_s=(3600.0,) * 4)
    people = [customer(place, "917") for place in range(3)]
    rest = customer(9)
    async with sender.running(replicas=2):
        await launch(sender, [*people, rest])
        for count, wa_id in enumerate(people[:2], start=1):
            await ask(sender, wa_id)
            await sender.until_deferred("template_doubt", count)
        assert (await campaign(sender))["status"] == "running"
        await ask(sender, people[2])
        await until(lambda: has_recipients(sender, dict.fromkeys(people, "pending") | {rest: "queued"}))
    row = await campaign(sender)

    assert (row["status"], row["status_reason"]) == (
        "paused",
        "132005: Translated text too long. [body variable 2 from column offer (900 characters)]",
    )
    assert await sender.dead() == []


async def test_one_in_doubt_fails_alone_when_somebody_is_accepted_after_all(sender: Sender) -> None:
    bad, good = customer(1, "917"), customer(2)
    sender.cluster.durations = replace(STILL, retry_tier_s=(3600.0,) * 4)
    async with sender.running():
        await launch(sender, [bad, good])
        await ask(sender, bad)
        await sender.until_deferred("template_doubt")
        await ask(sender, good)
        await until(lambda: has_recipients(sender, {bad: "queued", good: "sent"}))
        await sender.release("template_doubt")
        await until(lambda: has_recipients(sender, {bad: "failed", good: "sent"}))

    assert (await campaign(sender))["status"] == "running"


async def test_all_of_a_smaller_campaign_refused_pause_it(sender: Sender) -> None:
    sender.cluster.durations = replace(STILL, retry_tier_s=(3600.0,) * 4)
    people = [customer(place, "917") for place in range(2)]
    async with sender.running():
        await launch(sender, people)
        await ask(sender, people[0])
        await sender.until_deferred("template_doubt")
        await ask(sender, people[1])
        await until(lambda: has_recipients(sender, dict.fromkeys(people, "pending")))

    assert (await campaign(sender))["status"] == "paused"


async def test_of_parameters_that_statuses_refuse_only_a_delivery_clears_the_template(
    sender: Sender,
) -> None:
    sender.cluster.durations = replace(STILL, retry_tier_s=(3600.0,) * 4)
    people = [customer(place) for place in range(3)]
    error = {"code": 132012, "title": "t", "error_data": {"details": "body: parameter 1 mismatch"}}
    async with sender.cluster.running("status-updater"), sender.running():
        await launch(sender, people)
        for wa_id in people:
            await ask(sender, wa_id)
        await until(lambda: has_recipients(sender, dict.fromkeys(people, "sent")))
        await report(sender, people[0], error)
        await sender.until_deferred("template_doubt")
        await report(sender, people[1], status="delivered")
        await until(lambda: has_status(sender, people[1], "delivered"))
        await report(sender, people[2], error)
        await until(lambda: has_status(sender, people[2], "failed"))
    row = await sender.row(f"campaign:spring:{people[2]}")
    said = "body: parameter 1 mismatch [body variable 1 from column name (3 characters)]"
    assert (row["error_code"], row["error_message"]) == ("132012", said)
    [failed] = sender.cluster.told("outbound.failed")
    assert failed["error"] == {"code": "132012", "message": said}
    letter = await sender.cluster.conn.fetchrow("select * from dead_letter_queue")

    assert letter is not None
    assert letter["error_message"] == f"132012: {said}"
    assert orjson.loads(letter["raw_body"])["template"] == TEMPLATE


async def test_918_a_page_of_a_firewall_is_no_verdict_and_counts_for_the_breaker(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.cluster.durations = replace(STILL, retry_tier_s=(3600.0,) * 4, breaker_open_s=3600.0)
    async with sender.running():
        for place in range(5):
            await sender.ask(text(f"c{place}", customer(place, "918")))
        await sender.until_deferred("platform_away", 5)
        await sender.ask(text("c9", customer(9)))
        await sender.until_deferred("circuit_open")
    attempt = await sender.cluster.conn.fetchrow("select * from send_attempts limit 1")

    assert attempt is not None
    assert (attempt["outcome"], attempt["http_status"], attempt["error_code"]) == ("failed", 403, "http_403")
    assert "<p>Blocked by the web filter.</p>" in attempt["error_message"]
    assert "web filter" not in caplog.text
    assert await sender.dead() == []


async def test_the_platform_is_awaited_for_a_day_and_not_longer(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    conn = sender.cluster.conn
    async with sender.running():
        await sender.ask(text(customer=customer(1, "918")))
        await sender.until_deferred("platform_away")
        await conn.execute("update send_attempts set started_at = now() - interval '24 hours'")
        await sender.release("platform_away")
        await sender.until_dead("max_retries_exceeded")

    assert (await sender.row())["error_code"] == "http_403"
    assert "web filter" not in caplog.text


@pytest.mark.parametrize(("digits", "code"), [("919", "131047"), ("920", "130497")])
async def test_919_920_fail_their_recipient_only(sender: Sender, digits: str, code: str) -> None:
    async with sender.running():
        await sender.ask(text(customer=customer(1, digits)))
        await sender.until_dead("send_rejected")
        await sender.ask(text("c2", customer(2)))
        await sender.until_status("sent", "c2")

    assert await sender.attempts() == [("failed", code)]


async def test_921_a_number_that_is_gone_is_paused(sender: Sender) -> None:
    sender.cluster.durations = STILL
    async with sender.running():
        await sender.ask(text(customer=customer(1, "921")))
        await sender.until_deferred("number_paused")
    row = await number(sender)

    assert (row["state"], row["reason"]) == (
        "paused",
        "100: The phone number does not exist, or the token does not have it.",
    )


@pytest.mark.parametrize("said", ["held_for_quality_assessment", "paused"])
async def test_that_the_platform_holds_a_message_is_kept_and_told(sender: Sender, said: str) -> None:
    await sender.sandbox.change(message_status=said)
    async with sender.running():
        await sender.ask(text(message_text=None) | {"template": TEMPLATE})
        await sender.until_status("sent")
        await until(lambda: bool(sender.cluster.told("outbound.sent")))

    assert await sender.cluster.conn.fetchval("select message_status from send_attempts") == said
    assert sender.cluster.told("outbound.sent")[0]["message_status"] == said


async def has_status(sender: Sender, wa_id: str, status: str) -> bool:
    return bool((await sender.row(f"campaign:spring:{wa_id}"))["status"] == status)
