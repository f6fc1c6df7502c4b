"""What the sender makes of each answer of the Cloud API, on real servers and the sandbox's recipients."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.durations import DURATIONS
from shared.messaging.numbers.breaker_store import UNKNOWN_NUMBERS
from tests.support.rows import add_mapping, add_message, insert
from tests.support.sending import NUMBER, PATIENT, Sender, text
from tests.support.waiting import until


def ending(digits: str, prefix: str = "49170000000") -> str:
    """A customer whose number makes the sandbox behave so."""
    return f"{prefix}{digits}"


async def test_901_a_transient_failure_is_retried_and_counted(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(customer=ending("901")))
        await sender.until_status("sent")
    assert await sender.attempts() == [("failed", "131000"), ("sent", None)]


async def test_902_a_failure_that_stays_ends_after_the_last_retry(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(customer=ending("902")))
        headers = await sender.until_dead("max_retries_exceeded")
        row = await sender.until_status("failed")
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert await sender.attempts() == [("failed", "131000")] * 5
    assert (row["error_code"], headers["x-wabus-attempts"]) == ("131000", 5)
    assert sender.cluster.told("outbound.failed")[0]["error"]["code"] == "131000"


async def test_903_a_request_that_hangs_is_ambiguous(sender: Sender) -> None:
    sender.cluster.durations = replace(PATIENT, http_timeout_s=2.0)
    async with sender.running():
        await sender.ask(text(customer=ending("903")))
        await sender.until_deferred("ambiguous")

    assert (await sender.row())["status"] == "queued"
    assert await sender.attempts() == [("ambiguous", "ambiguous")]


async def test_903_a_request_that_hangs_keeps_nobody_else_waiting(sender: Sender) -> None:
    sender.cluster.durations = replace(PATIENT, http_timeout_s=60)
    async with sender.running(DRAIN_SECONDS="0"):
        await sender.ask(text(customer=ending("903")))
        await until(lambda: _accepted(sender, 1))
        for place in range(30):
            await sender.ask(text(f"n{place}", ending(f"{place:03}")))
        for place in range(30):
            await sender.until_status("sent", f"n{place}")

        assert await sender.attempts() == [(None, None)]


async def test_904_a_connection_closed_after_the_request_is_ambiguous(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(customer=ending("904")))
        await sender.until_deferred("ambiguous")
        assert await sender.attempts() == [("ambiguous", "ambiguous")]
        before = await _not_before(sender)
        await sender.ask(text(customer=ending("904")))
        await until(lambda: _is_put_off_anew(sender, before))
    assert len(await sender.sandbox.messages()) == 1
    row = await sender.cluster.conn.fetchrow("select * from deferred_messages")

    assert row is not None
    assert (row["phone_number_id"], row["customer"], row["lane"]) == (NUMBER, ending("904"), "reply")


async def test_905_the_number_slows_down_as_long_as_it_is_told(sender: Sender) -> None:
    await sender.sandbox.change(fault={"code": 130429, "http_status": 429, "retry_after_s": 60, "times": 1})
    async with sender.running():
        await sender.ask(text())
        await sender.until_deferred("rate_limit")
        await sender.ask(text("c2", ending("002")))
        await sender.until_deferred("rate_limit", 2)  # the whole number waits
        await _lift_rate(sender)
        await sender.release("rate_limit")
        await sender.until_status("sent")
        await sender.until_status("sent", "c2")

    assert await sender.attempts() == [("failed", "130429"), ("sent", None)]


@pytest.mark.parametrize(
    ("digits", "code"), [("906", "131047"), ("907", "131026"), ("908", "131050"), ("911", "132001")]
)
async def test_what_can_never_succeed_is_failed_and_dead(sender: Sender, digits: str, code: str) -> None:
    async with sender.running():
        await sender.ask(text(customer=ending(digits)))
        headers = await sender.until_dead("send_rejected")
        row = await sender.until_status("failed")
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert row["error_code"] == code
    assert row["error_message"]
    assert headers["x-wabus-error"].startswith(f"{code}: ")
    assert headers["x-wabus-message-id"] == str(row["id"])
    assert await sender.attempts() == [("failed", code)]


async def test_908_an_opt_out_is_remembered(sender: Sender) -> None:
    customer = ending("908")
    async with sender.running():
        await sender.ask(text(customer=customer))
        await sender.until_status("failed")
        await sender.ask(text("c2", customer), "bulk")
        await sender.until_status("failed", "c2")
    assert await sender.attempts("c2") == []  # it was not even tried
    profile = await sender.cluster.conn.fetchrow("select * from customer_profiles")

    assert profile is not None
    assert profile["opt_in_marketing"] is False
    assert profile["marketing_opted_at"] is not None


async def test_909_only_the_customer_at_the_pair_limit_waits(sender: Sender) -> None:
    customer = ending("909")
    sender.cluster.durations = replace(PATIENT, pair_backoff_base_s=60.0)
    async with sender.running():
        await sender.ask(text(customer=customer))
        await sender.until_deferred("rate_limit")
        await sender.ask(text("c2"))
        await sender.until_status("sent", "c2")
        wait_s = await sender.cluster.conn.fetchval(
            "select extract(epoch from not_before - created_at)::float8 from deferred_messages"
        )
        assert 30 < wait_s <= 60

    assert await sender.attempts() == [("failed", "131056")]


async def test_909_a_short_pair_wait_is_kept_in_hand_and_grows(sender: Sender) -> None:
    sender.cluster.durations = replace(PATIENT, pair_backoff_base_s=0.2)
    async with sender.running():
        await sender.ask(text(customer=ending("909")))
        await sender.until_status("sent")

    assert await sender.attempts() == [("failed", "131056"), ("failed", "131056"), ("sent", None)]
    assert await sender.deferred() == []


async def test_910_a_refused_token_pauses_the_number_until_it_is_resumed(sender: Sender) -> None:
    conn = sender.cluster.conn
    async with sender.running():
        await sender.ask(text(customer=ending("910")))
        await sender.until_deferred("number_paused")
        await sender.ask(text("c2"))
        await sender.ask(text("c3", phone_number_id="77"))
        await sender.until_deferred("number_paused", 2)
        await sender.until_status("sent", "c3")  # other numbers go on
        number = await conn.fetchrow("select * from business_numbers")
        assert number is not None
        assert (number["phone_number_id"], number["state"]) == (NUMBER, "paused")
        assert (number["changed_by"], number["reason"]) != (None, None)
        first = "message_id = (select id from message_tracking where client_message_id = 'c1')"
        await conn.execute(f"update deferred_messages set reason = 'first' where {first}")
        await conn.execute("update business_numbers set state = 'active', since = now()")
        await sender.release("number_paused")
        await sender.until_status("sent", "c2")
        await until(lambda: _only_waits(sender, "first"))  # c2's row goes after its status is written
        await sender.release("first")
        await sender.until_dead("send_rejected")  # the first is refused again, and nobody else: it is its own
        assert await conn.fetchval("select state from business_numbers") == "active"

    assert await sender.attempts() == [("failed", "190"), ("failed", "190")]


async def test_913_914_statuses_in_any_order_leave_one_send_and_one_event(sender: Sender) -> None:
    async with sender.with_statuses(), sender.cluster.running("status-updater"), sender.running():
        for digits in ("913", "914"):
            await sender.ask(text(f"c{digits}", ending(digits)))
        for digits in ("913", "914"):
            await sender.until_status("read", f"c{digits}")
            assert await sender.attempts(f"c{digits}") == [("sent", None)]
        await sender.until_worked()
        await until(lambda: len(sender.cluster.told("outbound.sent")) == 2)
        assert len(await sender.sandbox.messages()) == 2

    assert await sender.deferred() == []


async def test_915_a_slow_answer_is_an_answer(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(customer=ending("915")))
        await sender.until_status("sent")
    assert await sender.attempts() == [("sent", None)]


@pytest.mark.parametrize(("status", "code"), [(502, None), (504, 131000), (500, None), (503, None)])
async def test_an_answer_that_hides_the_outcome_is_ambiguous(
    sender: Sender, status: int, code: int | None
) -> None:
    fault = {"code": code, "http_status": status, "accepted": True, "times": 1}
    await sender.sandbox.change(fault=fault)
    async with sender.running():
        await sender.ask(text())
        await sender.until_deferred("ambiguous")

    assert await sender.attempts() == [("ambiguous", "ambiguous")]


async def test_a_refused_connection_is_transient(sender: Sender) -> None:
    async with sender.running(WHATSAPP_API_URL="http://127.0.0.1:1"):
        await sender.ask(text())
        await sender.until_dead("max_retries_exceeded")
        row = await sender.until_status("failed")

    assert row["error_code"] == "unreachable"
    assert await sender.attempts() == [("failed", "unreachable")] * 5


async def test_spam_holds_the_marketing_of_its_number_only(sender: Sender) -> None:
    await sender.sandbox.change(fault={"code": 131048, "http_status": 400, "times": 1})
    sender.cluster.durations = replace(PATIENT, spam_hold_s=60.0)
    async with sender.running():
        await sender.ask(text(), "bulk")
        await sender.until_deferred("rate_limit")
        await sender.ask(text("c2", ending("002")), "bulk")
        await sender.until_deferred("rate_limit", 2)
        await sender.ask(text("c3", ending("003")))
        await sender.until_status("sent", "c3")

    assert await sender.attempts("c2") == []


async def test_a_medium_that_cannot_be_fetched_is_tried_four_times(sender: Sender) -> None:
    await sender.sandbox.change(fault={"code": 131052, "http_status": 400})
    message = text(message_text=None, media_url="https://media.example/a.jpg")
    async with sender.running():
        await sender.ask(message)
        await sender.until_dead("send_rejected")

    assert await sender.attempts() == [("failed", "131052")] * 4


async def test_five_failures_of_three_messages_open_the_breaker_and_probes_close_it(sender: Sender) -> None:
    await sender.sandbox.change(fault={"code": 131016, "http_status": 500})
    sender.cluster.durations = replace(PATIENT, breaker_open_s=1.0, breaker_probe_lease_s=60.0)
    async with sender.running():
        for place in range(8):
            await sender.ask(text(f"c{place}", ending(f"{place:03}")))
        await sender.until_deferred("circuit_open", 8)
        tried = (await sender.sandbox.stats())["rejected"]
        assert tried >= 5
        await sender.sandbox.change(fault=None, latency_ms=5_000)
        await until(lambda: _circuit_is_due(sender))
        await sender.release("circuit_open")
        await until(lambda: _accepted(sender, 2))
        await until(lambda: _are_put_off(sender, 6))
        assert await _circuit(sender) == ("half_open", 2)  # and nobody else went
        await until(lambda: _circuit_is(sender, "closed"))
        await sender.sandbox.change(latency_ms=0)
        await sender.release("circuit_open")
        for place in range(8):
            await sender.until_status("sent", f"c{place}")

    assert (await sender.sandbox.stats())["rejected"] == tried


async def test_refusals_never_open_the_breaker(sender: Sender) -> None:
    async with sender.running():
        for place in range(8):
            await sender.ask(text(f"c{place}", ending("907", f"4917000{place}000")))
        for place in range(8):
            await sender.until_status("failed", f"c{place}")
    breakers = await sender.cluster.conn.fetch("select service, state, failures from circuit_breakers")

    assert [tuple(row) for row in breakers] == [(NUMBER, "closed", 0)]


async def test_numbers_that_publishers_invent_share_one_breaker(sender: Sender) -> None:
    """Numbers that are known have their own; the others are tried all the same."""
    conn = sender.cluster.conn
    await add_message(
        conn, mapping_id=await add_mapping(conn, phone_number_id="2002"), status="sent", wamid="wamid.1"
    )
    await insert(conn, "business_numbers", phone_number_id="3003")
    sender.cluster.durations = replace(PATIENT, breaker_open_s=2.0)
    await sender.sandbox.change(fault={"code": 131016, "http_status": 500})
    async with sender.running():
        for number in (NUMBER, "2002", "3003"):
            await sender.ask(text(f"c{number}", phone_number_id=number))
        for place in range(20):
            await sender.ask(text(f"c{place}", ending(f"{place:03}"), phone_number_id=f"invented-{place}"))
        await until(lambda: _is_unknown(sender, "open"))
        await until(lambda: _are_breakers(sender, {NUMBER, "2002", "3003", UNKNOWN_NUMBERS}))
        await sender.sandbox.change(fault=None)
        async with sender.cluster.running("scheduler"):
            await until(lambda: _is_unknown(sender, "closed"))
            for place in range(20):
                await sender.until_status("sent", f"c{place}")
    taken_by_the_platform = {f"invented-{place}" for place in range(20)}

    assert await _are_breakers(sender, {NUMBER, "2002", "3003", UNKNOWN_NUMBERS} | taken_by_the_platform)


async def test_known_numbers_do_not_wait_for_the_breaker_of_those_that_nobody_knows(sender: Sender) -> None:
    """Known by the settings, by a message that the platform took, by an operator; none ever failed."""
    conn = sender.cluster.conn
    await add_message(
        conn, mapping_id=await add_mapping(conn, phone_number_id="2002"), status="sent", wamid="wamid.1"
    )
    await insert(conn, "business_numbers", phone_number_id="3003")
    sender.cluster.durations = replace(PATIENT, breaker_open_s=600.0)
    await sender.sandbox.change(fault={"code": 131016, "http_status": 500})
    async with sender.running():
        for place in range(DURATIONS.breaker_failures):
            await sender.ask(text(f"c{place}", ending(f"{place:03}"), phone_number_id=f"invented-{place}"))
        await until(lambda: _is_unknown(sender, "open"))
        await sender.sandbox.change(fault=None)

        for number in (NUMBER, "2002", "3003"):
            await sender.ask(text(f"c{number}", phone_number_id=number))
            await sender.until_status("sent", f"c{number}")

    # an invented one whose second try got through before the breaker opened is known by now, too
    services = {service for service in await _breakers(sender) if not service.startswith("invented")}

    assert services == {NUMBER, "2002", "3003", UNKNOWN_NUMBERS}


async def _breakers(sender: Sender) -> set[str]:
    return {row["service"] for row in await sender.cluster.conn.fetch("select service from circuit_breakers")}


async def _are_breakers(sender: Sender, services: set[str]) -> bool:
    return await _breakers(sender) == services


async def _is_unknown(sender: Sender, state: str) -> bool:
    query = "select state = $2 from circuit_breakers where service = $1"
    return bool(await sender.cluster.conn.fetchval(query, UNKNOWN_NUMBERS, state))


async def _accepted(sender: Sender, count: int) -> bool:
    return len(await sender.sandbox.messages()) >= count


async def _not_before(sender: Sender) -> Any:
    return await sender.cluster.conn.fetchval("select not_before from deferred_messages")


async def _is_put_off_anew(sender: Sender, before: Any) -> bool:
    return bool(await _not_before(sender) != before)


async def _only_waits(sender: Sender, reason: str) -> bool:
    return await sender.deferred() == [reason]


async def _are_put_off(sender: Sender, count: int) -> bool:
    """Stored, and not published since."""
    rows = "select count(*) from deferred_messages where published_until is null"
    return bool(await sender.cluster.conn.fetchval(rows) == count)


async def _circuit(sender: Sender) -> tuple[Any, ...]:
    row = await sender.cluster.conn.fetchrow(
        "select state, probes from circuit_breakers where service = $1", NUMBER
    )
    assert row is not None
    return tuple(row)


async def _circuit_is(sender: Sender, state: str) -> bool:
    return bool((await _circuit(sender))[0] == state)


async def _circuit_is_due(sender: Sender) -> bool:
    due = "select opened_at < now() - interval '1 second' from circuit_breakers"
    return bool(await sender.cluster.conn.fetchval(due))


async def _lift_rate(sender: Sender) -> None:
    """The time that the number was told to wait has passed."""
    async with Redis.from_url(sender.cluster.redis_url) as redis:
        await redis.delete(f"rate:number:{NUMBER}")
    await sender.cluster.conn.execute("update business_numbers set slowed_until = now()")
