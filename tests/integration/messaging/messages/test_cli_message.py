"""`wabus message show` as a program on a real database."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.program import Outcome, run_wabus
from tests.support.rows import NOON, Connection, add_mapping, add_message, insert
from tests.support.terminal import show_at_terminal

PHONE = "491700000001"
SECRET = "the text of the message"


async def show(database_url: str, *arguments: str) -> Outcome:
    return await run_wabus("message", "show", *arguments, environ={"DATABASE_URL": database_url})


async def add_story(conn: Connection) -> UUID:
    """A reply that was ambiguous, sent again, delivered, and waits no more than it must."""
    mapping = await add_mapping(conn, wa_id=PHONE, conversation_id="conv-2", contact_name="Ana")
    await insert(conn, "conversation_aliases", conversation_id="conv-1", mapping_id=mapping)
    message = await add_message(
        conn,
        mapping_id=mapping,
        status="delivered",
        lane="reply",
        wamid="wamid.second",
        genesys_message_id="genesys-1",
        client_message_id="client-1",
    )
    for number, outcome, wamid in ((1, "abandoned", "wamid.first"), (2, "sent", "wamid.second")):
        await insert(
            conn,
            "send_attempts",
            message_id=message,
            attempt=number,
            outcome=outcome,
            wamid=wamid,
            started_at=NOON + timedelta(seconds=number),
        )
    for seconds, status, outcome in ((3, "delivered", "applied"), (2, "sent", "duplicate")):
        await insert(
            conn,
            "status_events",
            wamid="wamid.second",
            message_id=message,
            status=status,
            occurred_at=NOON + timedelta(seconds=seconds),
            outcome=outcome,
        )
    await insert(
        conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=SECRET.encode(),
        reason="status_retry",
        not_before=NOON,
        message_id=message,
    )
    await insert(
        conn,
        "dead_letter_queue",
        source_queue="status-updater",
        reason="state_violation",
        error_message="processed on OUTBOUND",
        raw_body=SECRET.encode(),
        payload=f'{{"wamid": "wamid.second", "message_text": "{SECRET}"}}',
    )
    return message


@pytest.mark.parametrize(
    "reference", ["wamid.second", "wamid.first", "genesys-1", "client-1", "{id}", " wamid.second "]
)
async def test_a_message_is_found_by_each_of_its_ids(
    reference: str, conn: Connection, database_url: str
) -> None:
    message = await add_story(conn)
    await add_message(conn, wamid="wamid.other")

    outcome = await show(database_url, reference.format(id=message), "--json")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json["found_by"] == "message"
    (mapping,) = outcome.json["mappings"]

    assert (mapping["wa_id"], mapping["conversation_id"], mapping["aliases"]) == (PHONE, "conv-2", ["conv-1"])
    assert [item["id"] for item in mapping["messages"]] == [str(message)]


async def test_a_message_comes_with_attempts_events_deferral_and_dead_letters(
    conn: Connection, database_url: str
) -> None:
    await add_story(conn)

    outcome = await show(database_url, "wamid.second", "--json")

    (message,) = outcome.json["mappings"][0]["messages"]
    attempts = [(item["attempt"], item["outcome"]) for item in message["attempts"]]
    assert attempts == [(1, "abandoned"), (2, "sent")]
    events = [(item["status"], item["outcome"]) for item in message["status_events"]]

    assert events == [("delivered", "applied"), ("sent", "duplicate")]  # as they came, not as they happened
    assert (message["deferral"]["reason"], message["deferral"]["due"]) == ("status_retry", True)
    assert [letter["reason"] for letter in message["dead_letters"]] == ["state_violation"]
    assert outcome.json["dead_letters"] == []


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_no_text_and_no_body_is_shown(
    options: tuple[str, ...], conn: Connection, database_url: str
) -> None:
    message = await add_story(conn)
    await insert(
        conn,
        "outbound_bodies",
        message_id=message,
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=SECRET.encode(),
    )
    for reference in ("wamid.second", PHONE):
        outcome = await show(database_url, reference, *options)

        assert outcome.code == 0
        assert SECRET not in outcome.out


async def test_people_see_every_part(conn: Connection, database_url: str) -> None:
    message = await add_story(conn)

    outcome = await show(database_url, "wamid.second")

    assert "\x1b" not in outcome.out
    for text in (
        f"Conversation of {PHONE} with 1001",
        "conv-1",
        str(message),
        "Steps",
        "total ms",
        "Attempts",
        "abandoned",
        "Status events",
        "duplicate",
        "Deferred",
        "status_retry",
        "Dead letters",
        "processed on OUTBOUND",
    ):
        assert text in outcome.out, text


async def test_a_failed_message_comes_with_its_replays(conn: Connection, database_url: str) -> None:
    mapping = await add_mapping(conn)
    failed = await add_message(conn, mapping_id=mapping, status="failed", genesys_message_id="genesys-1")
    replay = await add_message(conn, mapping_id=mapping, genesys_message_id="genesys-1", replay_of=failed)

    outcome = await show(database_url, "genesys-1", "--json")

    messages = outcome.json["mappings"][0]["messages"]

    assert [(item["id"], item["replay_of"]) for item in messages] == [
        (str(failed), None),
        (str(replay), str(failed)),
    ]


@pytest.mark.parametrize("reference", ["+49 170 000-0001", "491700000001", "DE.abc123"])
async def test_a_customer_is_found_by_phone_and_by_business_scoped_id(
    reference: str, conn: Connection, database_url: str
) -> None:
    # Given an earlier and a later conversation of the customer, and one of another
    earlier = await add_mapping(
        conn, wa_id=PHONE, user_id="DE.abc123", status="closed", created_at=NOON - timedelta(days=1)
    )
    later = await add_mapping(conn, wa_id=PHONE, user_id="DE.abc123", created_at=NOON)
    ids = [
        await add_message(conn, mapping_id=later, created_at=NOON + timedelta(minutes=n)) for n in range(3)
    ]
    await add_message(conn, mapping_id=await add_mapping(conn, wa_id="491700000002"))
    # When
    outcome = await show(database_url, reference, "--limit", "2", "--json")
    # Then
    assert outcome.code == 0
    assert outcome.json["found_by"] == "customer"
    mappings = outcome.json["mappings"]

    assert [mapping["id"] for mapping in mappings] == [str(later), str(earlier)]
    assert [message["id"] for message in mappings[0]["messages"]] == [str(item) for item in ids[1:]]
    assert mappings[1]["messages"] == []


async def test_a_conversation_is_found_by_its_ids(conn: Connection, database_url: str) -> None:
    message = await add_story(conn)
    mapping = await conn.fetchval("select id from conversation_mappings")

    for reference in ("conv-2", "conv-1", str(mapping)):
        outcome = await show(database_url, reference, "--json")

        assert outcome.json["found_by"] == "conversation"
        assert outcome.json["mappings"][0]["messages"][0]["id"] == str(message)


async def test_what_has_no_message_is_found_by_its_wamid(conn: Connection, database_url: str) -> None:
    await insert(conn, "status_events", wamid="wamid.lost", status="read", occurred_at=NOON)
    await insert(
        conn,
        "dead_letter_queue",
        source_queue="inbound-resolver",
        reason="invalid_media_url",
        raw_body=b"{}",
        payload='{"wamid": "wamid.lost"}',
    )

    outcome = await show(database_url, "wamid.lost", "--json")

    assert (outcome.code, outcome.json["found_by"], outcome.json["mappings"]) == (0, "reference", [])
    assert [item["status"] for item in outcome.json["status_events"]] == ["read"]
    assert [item["reason"] for item in outcome.json["dead_letters"]] == ["invalid_media_url"]


@pytest.mark.parametrize("wa_id", [PHONE, f"+{PHONE}"])
async def test_a_customer_whose_messages_all_died_is_found(
    wa_id: str, conn: Connection, database_url: str
) -> None:
    await insert(
        conn,
        "dead_letter_queue",
        source_queue="inbound-resolver",
        reason="invalid_payload",
        raw_body=b"{}",
        payload=f'{{"wa_id": "{wa_id}"}}',
    )

    outcome = await show(database_url, PHONE, "--json")

    assert outcome.code == 0
    assert [item["reason"] for item in outcome.json["dead_letters"]] == ["invalid_payload"]


@pytest.mark.parametrize(
    "reference", ["wamid.none", PHONE, "2abc5ed7-c38b-4a11-9b65-d1d81ffbe7a4", "x\x01y", "%"]
)
async def test_what_is_not_found_is_said_in_one_line(
    reference: str, conn: Connection, database_url: str
) -> None:
    await add_message(conn, wamid="wamid.other")

    outcome = await show(database_url, reference)

    assert (outcome.code, outcome.out) == (1, "")
    shown = reference.replace("\x01", r"\x01")

    assert outcome.err == f"wabus: {shown}: not found\n"


async def test_a_database_that_is_away_is_told_in_one_line() -> None:
    outcome = await show("postgresql://postgres@127.0.0.1:1/wabus", "wamid.x")

    assert outcome.code == 1
    assert outcome.err.startswith("wabus: PostgreSQL at ")


async def test_a_missing_reference_and_a_bad_setting_exit_2() -> None:
    assert (await show("postgresql://127.0.0.1/wabus")).code == 2
    assert (await show("mysql://127.0.0.1/wabus", "wamid.x")).code == 2


async def test_help_shows_an_example() -> None:
    outcome = await run_wabus("message", "show", "--help", environ={})

    assert outcome.code == 0
    assert "wabus message show" in outcome.out.partition("Example:")[2]


@pytest.mark.parametrize("columns", [60, 80, 200])
async def test_no_id_and_no_time_is_broken_at_any_width(
    columns: int, conn: Connection, database_url: str
) -> None:
    message = await add_story(conn)
    wamid = "wamid.HBgNNDkxNzAwMDAwMDAwMRUCABEYEjVBM0I5QzdEOEU5RjBBMUIyQwA="
    await conn.execute("update message_tracking set wamid = $2 where id = $1", message, wamid)
    at = NOON + timedelta(seconds=1, microseconds=234_567)
    await conn.execute("update send_attempts set started_at = $1 where attempt = 1", at)

    environ = {"DATABASE_URL": database_url}
    of_message = show_at_terminal(["message", "show", str(message)], columns, environ=environ)
    of_customer = show_at_terminal(["message", "show", PHONE], columns, environ=environ)

    assert f"{at:%Y-%m-%d %H:%M:%S}.234Z" in of_message
    assert all(text in of_message for text in (str(message), wamid))
    assert all(text in of_customer for text in (str(message), wamid))


async def test_what_is_not_shown_is_counted_and_shown_on_demand(conn: Connection, database_url: str) -> None:
    # Given more messages, conversations and dead letters than are shown
    for number in range(7):
        await add_mapping(conn, wa_id=PHONE, status="closed", conversation_id=f"conv-{number}")
    mapping = await add_mapping(conn, wa_id=PHONE)
    for number in range(14):
        await add_message(conn, mapping_id=mapping, wamid=f"wamid.{number}")
    for number in range(12):
        await insert(
            conn,
            "dead_letter_queue",
            source_queue="outbound-sender",
            payload=f'{{"wa_id": "{PHONE}"}}',
            dedupe_key=str(number),
        )

    # When
    some = await show(database_url, PHONE)
    fewer = await show(database_url, PHONE, "--limit", "3")
    all_of_it = await show(database_url, PHONE, "--all")

    # Then
    assert "10 of 14 messages; --all shows every one" in some.out
    assert "5 of 8 conversations" in some.out
    assert "10 of 12 dead letters" in some.out
    assert "3 of 14 messages" in fewer.out
    assert " of " not in all_of_it.out.replace("Conversation of", "")
    assert all(f"wamid.{number} " in all_of_it.out for number in range(14))
    assert all(f"conv-{number}" in all_of_it.out for number in range(7))


async def test_what_the_platform_says_of_a_message_that_it_holds_is_shown(
    conn: Connection, database_url: str
) -> None:
    message = await add_story(conn)
    await conn.execute(
        "update send_attempts set message_status = 'held_for_quality_assessment' where wamid = 'wamid.second'"
    )

    told = await show(database_url, str(message), "--json")
    table = await show(database_url, str(message))

    attempts = told.json["mappings"][0]["messages"][0]["attempts"]

    assert [item["message_status"] for item in attempts] == [None, "held_for_quality_assessment"]
    assert "held_for_quality_assessment" in table.out
