"""`wabus number` as a program on a real database."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.durable.deferral import DeferralStore, Window
from shared.durations import DURATIONS
from shared.postgres.database import Database
from tests.support.program import run_wabus
from tests.support.rows import Connection, add_mapping, insert, only_row


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "WHATSAPP_PHONE_NUMBER_ID": "1001"}


async def defer(conn: Connection, number: str, reason: str, wait: timedelta) -> Any:
    return await insert(
        conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=b"{}",
        headers='{"x-attempt": 1, "correlation_id": "t", "idempotency_key": "k"}',
        reason=reason,
        not_before=await conn.fetchval("select now()") + wait,
        phone_number_id=number,
        customer="491700000001",
        lane="reply",
    )


async def read_due(database_url: str) -> set[Any]:
    """What the scheduler would publish now."""
    database = Database(database_url)
    try:
        due = await DeferralStore(database, DURATIONS).claim_due("outbound-sender", Window(10, 10))
    finally:
        await database.close()
    return {item.id for item in due}


async def test_numbers_of_settings_rows_and_conversations_are_listed(
    conn: Connection, environ: dict[str, str], tmp_path: Path
) -> None:
    # Given a number in the settings, one in their file, one paused, one that a customer wrote to
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps({"2002": {"token": "t", "mps": 20}}))
    await insert(
        conn, "business_numbers", phone_number_id="3003", state="paused", reason="190", changed_by="sender"
    )
    await insert(conn, "circuit_breakers", service="3003", state="open")
    for number in ("4004", "5005"):
        await add_mapping(conn, phone_number_id=number)
    await add_mapping(conn, phone_number_id="6006", status="closed")
    await defer(conn, "3003", "number_paused", timedelta(hours=1))
    # When
    outcome = await run_wabus(
        "number", "list", "--json", environ=environ | {"WHATSAPP_NUMBERS_FILE": str(numbers)}
    )
    # Then
    assert (outcome.code, outcome.err) == (0, "")
    listed = {item["phone_number_id"]: item for item in outcome.json["numbers"]}
    assert list(listed) == ["1001", "2002", "3003", "4004", "5005"]
    assert listed["2002"]["has_token"]
    assert listed["2002"]["mps"] == 20
    assert not listed["1001"]["has_token"]
    paused = {name: listed["3003"][name] for name in ("state", "reason", "changed_by", "breaker", "waiting")}

    assert paused == {
        "state": "paused",
        "reason": "190",
        "changed_by": "sender",
        "breaker": "open",
        "waiting": 1,
    }


async def test_the_list_for_people_is_plain_text_off_a_terminal(
    conn: Connection, environ: dict[str, str]
) -> None:
    await insert(conn, "business_numbers", phone_number_id="3003", state="paused", reason="[bold]190[/bold]")

    outcome = await run_wabus("number", "list", environ=environ)

    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "[bold]190[/bold]" in outcome.out


async def test_a_pause_is_stored_with_who_and_why_and_audited(
    conn: Connection, environ: dict[str, str]
) -> None:
    outcome = await run_wabus("number", "pause", "1001", "--reason", "new token", environ=environ)

    assert (outcome.code, outcome.out) == (0, "1001: paused\n")
    row = await only_row(conn, "select state, reason, changed_by from business_numbers")
    assert tuple(row) == ("paused", "new token", "tester")
    audited = await only_row(conn, "select actor, action, subject, details from audit_log")

    assert tuple(audited)[:3] == ("tester", "number.pause", "1001")
    assert json.loads(audited["details"])["reason"] == "new token"


async def test_a_second_pause_changes_nothing_but_the_reason(
    conn: Connection, environ: dict[str, str]
) -> None:
    await run_wabus("number", "pause", "1001", "--reason", "one", environ=environ)
    since = await conn.fetchval("select since from business_numbers")

    outcome = await run_wabus("number", "pause", "1001", "--reason", "two", "--by", "ana", environ=environ)

    assert (outcome.code, outcome.out) == (0, "1001: paused already\n")
    row = await only_row(conn, "select reason, changed_by, since from business_numbers")

    assert tuple(row) == ("two", "ana", since)


async def test_resuming_lets_go_what_waited_for_this_number_and_nothing_else(
    conn: Connection, environ: dict[str, str], database_url: str
) -> None:
    await insert(conn, "business_numbers", phone_number_id="1001", state="paused")
    await insert(conn, "business_numbers", phone_number_id="2002", state="paused")
    waited = await defer(conn, "1001", "number_paused", timedelta())
    await defer(conn, "1001", "rate_limit", timedelta(hours=1))
    await defer(conn, "2002", "number_paused", timedelta())
    assert await read_due(database_url) == set()

    outcome = await run_wabus("number", "resume", "1001", "--json", environ=environ)

    change = {"phone_number_id": "1001", "state": "active", "changed": True, "released": 1}
    assert (outcome.code, outcome.json) == (0, {"numbers": [change]})
    assert await read_due(database_url) == {waited}
    states = dict(await conn.fetch("select phone_number_id, state from business_numbers"))

    assert states == {"1001": "active", "2002": "paused"}


async def test_all_means_every_known_number_in_the_other_state(
    conn: Connection, environ: dict[str, str]
) -> None:
    await insert(conn, "business_numbers", phone_number_id="2002", state="paused", reason="190")

    paused = await run_wabus("number", "pause", "--all", environ=environ)
    again = await run_wabus("number", "pause", "--all", environ=environ)
    resumed = await run_wabus("number", "resume", "--all", "--json", environ=environ)

    assert paused.out == "1001: paused\n"
    assert (again.code, again.out) == (0, "Every number is paused already.\n")
    assert [item["phone_number_id"] for item in resumed.json["numbers"]] == ["1001", "2002"]
    assert await conn.fetchval("select count(*) from business_numbers where state = 'active'") == 2


@pytest.mark.parametrize("arguments", [("pause",), ("resume", "--all", "1001"), ("stop",), ("pause", "--x")])
async def test_a_wrong_command_line_exits_2(arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    outcome = await run_wabus("number", *arguments, environ=environ)

    assert outcome.code == 2
    assert outcome.err.startswith("Usage: wabus number")


async def test_a_number_may_be_paused_before_its_first_message_and_that_it_is_new_is_told(
    conn: Connection, environ: dict[str, str]
) -> None:
    outcome = await run_wabus("number", "pause", "1001", "9009", environ=environ)

    assert (outcome.code, outcome.out) == (0, "1001: paused\n9009: paused\n")
    assert outcome.err.startswith("9009: not seen before")
    assert await conn.fetchval("select count(*) from business_numbers where state = 'paused'") == 2


async def test_a_database_that_is_away_is_told_in_one_line() -> None:
    environ = {"DATABASE_URL": "postgresql://someone:hidden@127.0.0.1:1/wabus"}

    outcome = await run_wabus("number", "list", environ=environ)

    assert outcome.code == 1
    assert outcome.err.startswith("wabus: PostgreSQL at postgresql://***@127.0.0.1:1/wabus: ")
    assert outcome.err.count("\n") == 1


async def test_a_database_without_our_schema_is_told_what_to_run(empty_database: str) -> None:
    outcome = await run_wabus("number", "list", environ={"DATABASE_URL": empty_database})

    assert outcome.code == 1
    assert "run `wabus migrate`" in outcome.err


async def test_help_shows_an_example() -> None:
    for command in ("list", "pause", "resume"):
        outcome = await run_wabus("number", command, "--help", environ={})

        assert outcome.code == 0
        assert f"wabus number {command}" in outcome.out.partition("Example:")[2]


async def test_the_list_says_until_when_a_number_is_slowed_or_its_marketing_held(
    conn: Connection, environ: dict[str, str]
) -> None:
    now = await conn.fetchval("select now()")
    later, past = now + timedelta(hours=1), now - timedelta(hours=1)
    await insert(conn, "business_numbers", phone_number_id="3003", marketing_held_until=later)
    await insert(conn, "business_numbers", phone_number_id="4004", slowed_until=later)
    await insert(
        conn, "business_numbers", phone_number_id="5005", marketing_held_until=past, slowed_until=past
    )

    listed = await run_wabus("number", "list", "--json", environ=environ)
    table = await run_wabus("number", "list", environ=environ)

    held = {item["phone_number_id"]: item for item in listed.json["numbers"]}

    assert held["3003"]["marketing_held_until"].startswith(f"{later:%Y-%m-%dT%H:%M}")
    assert held["4004"]["slowed_until"].startswith(f"{later:%Y-%m-%dT%H:%M}")
    assert (held["5005"]["marketing_held_until"], held["5005"]["slowed_until"]) == (None, None)
    assert "marketing held until" in table.out
    assert "slowed until" in table.out
    assert table.out.count(f"{later:%Y-%m-%d %H:%M}") == 2
