"""`wabus profile` as a program on a real database: consent, and the erasure of a person."""

import asyncio
import json
import os
import pty
import sys
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.coordination.keys import conversation_key, customer_key
from shared.coordination.rate_shared import pair_key
from tests.support.leftovers import lock_waiters
from tests.support.people import IMPERSONAL, Person, Snapshot, add_person, take_snapshot
from tests.support.program import Outcome, run_wabus
from tests.support.proxy import Proxy
from tests.support.rows import NOON, Connection, add_campaign, add_mapping, add_message, insert, only_row
from tests.support.waiting import until

PHONE: Final = "491700000001"
ANA: Final = Person(PHONE, "DE.abc1", "ana")
#: The ids of a neighbour contain Ana's.
BEN: Final = Person(f"{PHONE}1", "DE.abc12", "ben")


@pytest.fixture
def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


async def run(environ: dict[str, str], *arguments: str) -> Outcome:
    return await run_wabus("profile", *arguments, environ=environ)


def personal(snapshot: Snapshot) -> Snapshot:
    return {table: lines for table, lines in snapshot.items() if table not in IMPERSONAL}


def mentions(snapshot: Snapshot, *texts: str) -> list[str]:
    """Rows in which one of the texts stands."""
    lines = (f"{table}: {line}" for table, lines in snapshot.items() for line in lines)
    return [line for line in lines if any(text in line for text in texts)]


async def test_consent_is_recorded_with_its_time_and_audited_without_the_number(
    conn: Connection, environ: dict[str, str]
) -> None:
    wanted = await run(environ, "opt-in", "+49 170 0000001")
    row = await only_row(conn, "select phone, opt_in_marketing, marketing_opted_at from customer_profiles")
    refused = await run(environ, "opt-out", PHONE, "--by", "ana", "--json")
    later = await only_row(conn, "select opt_in_marketing, marketing_opted_at from customer_profiles")
    await run(environ, "opt-in", BEN.phone)

    assert (wanted.code, wanted.out) == (0, f"{PHONE}: wants marketing\n")
    assert (row["phone"], row["opt_in_marketing"]) == (PHONE, True)
    assert (refused.json["before"], refused.json["opt_in_marketing"]) == (True, False)
    assert later["opt_in_marketing"] is False
    assert later["marketing_opted_at"] > row["marketing_opted_at"]
    audit = await conn.fetch("select actor, action, subject, details::text from audit_log order by id")

    assert [tuple(line)[:2] for line in audit] == [
        ("tester", "profile.opt_in"),
        ("ana", "profile.opt_out"),
        ("tester", "profile.opt_in"),
    ]
    assert audit[0]["subject"] == audit[1]["subject"] != audit[2]["subject"]
    assert not [line for line in audit if PHONE in line["subject"] + line["details"]]


async def test_consent_leaves_the_rest_of_a_profile_alone(conn: Connection, environ: dict[str, str]) -> None:
    await insert(conn, "customer_profiles", phone=PHONE, name="Ana", last_interaction_at=NOON)

    outcome = await run(environ, "opt-out", PHONE)

    assert outcome.out == f"{PHONE}: wants no marketing\n"
    row = await only_row(
        conn, "select name, last_interaction_at, notification_opt_out from customer_profiles"
    )

    assert tuple(row) == ("Ana", NOON, False)


async def test_a_profile_is_shown_with_what_is_stored_and_done(
    conn: Connection, environ: dict[str, str]
) -> None:
    await run(environ, "opt-in", PHONE)
    mapping = await add_mapping(conn, wa_id=PHONE)
    await add_mapping(conn, wa_id=PHONE, status="expired")
    for _ in range(3):
        await add_message(conn, mapping_id=mapping)

    told = (await run(environ, "show", PHONE, "--json")).json
    shown = await run(environ, "show", PHONE)

    assert told["profile"]["opt_in_marketing"] is True
    assert told["conversations"] == {"conversations": 2, "active": 1, "messages": 3}
    assert [line["action"] for line in told["audit"]] == ["profile.opt_in"]
    proofs = {(item["kind"], item["value"], item["source"], item["evidence"]) for item in told["consents"]}
    assert proofs == {
        ("marketing", True, "operator", "tester"),
        ("notifications", True, "operator", "tester"),
    }
    assert told["profile"]["consent_source"] == "operator"
    assert shown.code == 0
    assert "said at" in shown.out
    assert f"Customer {PHONE}" in shown.out
    assert "profile.opt_in" in shown.out
    assert "\x1b" not in shown.out


async def test_an_unknown_customer_is_not_found(conn: Connection, environ: dict[str, str]) -> None:
    outcome = await run(environ, "show", PHONE)

    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"wabus: {PHONE}: not found\n")


async def test_erasing_a_person_leaves_the_database_as_if_they_had_never_been(
    conn: Connection, environ: dict[str, str]
) -> None:
    # Given a neighbour, and then a person with rows in every table
    campaign = await add_campaign(conn)
    await add_person(conn, BEN, campaign)
    before = await take_snapshot(conn)
    await add_person(conn, ANA, campaign)
    filled = await take_snapshot(conn)
    assert not [table for table, lines in personal(filled).items() if len(lines) == len(before[table])]
    # When
    outcome = await run(environ, "erase", PHONE, "--yes", "--by", "dpo", "--json")
    # Then
    assert (outcome.code, outcome.err) == (0, "")
    after = await take_snapshot(conn)
    assert personal(after) == personal(before)
    assert not mentions(after, ANA.tag, f"{PHONE} ", f'{PHONE}"', f"{ANA.user_id} ", f'{ANA.user_id}"')
    gone = {table: len(filled[table]) - len(before[table]) for table in personal(filled)}

    assert outcome.json["rows"] == gone
    assert sorted(outcome.json["addresses"]) == sorted([PHONE, ANA.user_id])


async def test_an_erasure_takes_the_raw_body_of_a_launch_that_named_the_person(
    conn: Connection, environ: dict[str, str]
) -> None:
    mended = {"mended": {"replaced_characters": 2, "raw_body_base64": "eyJ9"}}
    for campaign, phone in (("spring", PHONE), ("summer", BEN.phone)):
        await add_campaign(conn, id=campaign)
        await conn.execute(
            "update broadcast_campaigns set metadata = $2::text::jsonb where id = $1",
            campaign,
            json.dumps(mended),
        )
        await insert(conn, "broadcast_recipients", campaign_id=campaign, wa_id=phone)

    done = await run(environ, "erase", PHONE, "--yes")

    assert done.code == 0, done.err
    rows = await conn.fetch("select id, metadata::text from broadcast_campaigns order by id")

    assert {row["id"]: json.loads(row["metadata"]) for row in rows} == {
        "spring": {"mended": {"replaced_characters": 2}},
        "summer": mended,
    }


async def test_an_erasure_is_audited_with_counts_and_without_the_person(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_person(conn, ANA, await add_campaign(conn))
    await run(environ, "opt-out", PHONE)

    outcome = await run(environ, "erase", PHONE, "--yes", "--by", "dpo", "--json")
    shown = await run(environ, "show", PHONE)

    rows = await conn.fetch("select actor, action, subject, details::text from audit_log order by id")

    assert [tuple(row)[:2] for row in rows] == [("tester", "profile.opt_out"), ("dpo", "profile.erase")]
    assert rows[0]["subject"] == rows[1]["subject"]
    assert json.loads(rows[1]["details"])["rows"] == outcome.json["rows"]
    assert not mentions(await take_snapshot(conn), PHONE, ANA.tag)
    assert shown.code == 1
    assert "erased" in shown.err
    assert "by dpo" in shown.err


async def test_erasing_by_the_business_scoped_id_erases_the_same(
    conn: Connection, environ: dict[str, str]
) -> None:
    campaign = await add_campaign(conn)
    await add_person(conn, ANA, campaign)

    await run(environ, "erase", ANA.user_id, "--yes")

    assert not mentions(await take_snapshot(conn), PHONE, ANA.tag, ANA.user_id)


async def test_a_dry_run_counts_the_same_and_changes_nothing(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_person(conn, ANA, await add_campaign(conn))
    before = await take_snapshot(conn)

    rehearsed = await run(environ, "erase", PHONE, "--dry-run", "--json")
    shown = await run(environ, "erase", PHONE, "--dry-run")

    assert (rehearsed.code, rehearsed.json["dry_run"]) == (0, True)
    assert await take_snapshot(conn) == before
    assert "would be removed" in shown.out
    done = await run(environ, "erase", PHONE, "--yes", "--json")

    assert done.json["rows"] == rehearsed.json["rows"]


async def test_a_launch_that_died_loses_one_recipient_and_keeps_the_others(
    conn: Connection, environ: dict[str, str]
) -> None:
    launch = {
        "campaign_id": "spring",
        "recipients": [{"wa_id": f"+{PHONE}", "variables": {"name": "Ana"}}, {"wa_id": BEN.phone}],
    }
    alone = {"campaign_id": "alone", "recipients": [{"wa_id": PHONE}]}
    for payload in (launch, alone):
        await insert(
            conn,
            "dead_letter_queue",
            source_queue="broadcast-batcher",
            reason="database_error",
            payload=json.dumps(payload),
            raw_body=json.dumps(payload).encode(),
        )

    outcome = await run(environ, "erase", PHONE, "--yes", "--json")

    left = await only_row(conn, "select payload, raw_body from dead_letter_queue")
    kept = {"campaign_id": "spring", "recipients": [{"wa_id": BEN.phone}]}

    assert (json.loads(left["payload"]), json.loads(left["raw_body"])) == (kept, kept)
    assert (outcome.json["shortened_dead_letters"], outcome.json["rows"]["dead_letter_queue"]) == (1, 1)


async def test_what_waits_for_others_stays_though_it_mentions_the_person(
    conn: Connection, environ: dict[str, str]
) -> None:
    # Given a message to another customer that waits, and an event of theirs that is still to go out
    body = json.dumps({"wa_id": BEN.phone, "message_text": PHONE}).encode()
    await insert(
        conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=body,
        reason="rate_limit",
        not_before=NOON,
        customer=BEN.phone,
    )
    await insert(
        conn,
        "outbox_events",
        aggregate_id="1",
        aggregate_type="message",
        event_type="outbound.sent",
        payload=json.dumps({"wa_id": BEN.phone, "metadata": {"agent": PHONE}}),
    )
    before = await take_snapshot(conn)

    await run(environ, "erase", PHONE, "--yes")

    assert personal(await take_snapshot(conn)) == personal(before)


async def test_cached_keys_go_too(conn: Connection, environ: dict[str, str], redis_url: str) -> None:
    await add_person(conn, ANA, await add_campaign(conn))
    gone = [
        customer_key("1001", PHONE),
        customer_key("2002", ANA.user_id),
        conversation_key(f"alias-{ANA.tag}"),
        conversation_key(f"second-{ANA.tag}"),
        pair_key("1001", PHONE),
    ]
    kept = customer_key("1001", BEN.phone)
    async with Redis.from_url(redis_url) as redis:
        for key in (*gone, kept):
            await redis.set(key, "1")
        rehearsed = await run(environ, "erase", PHONE, "--dry-run", "--json")
        assert len(await redis.keys()) == len(gone) + 1

        outcome = await run(environ, "erase", PHONE, "--yes", "--json")

        assert (rehearsed.json["redis_keys"], outcome.json["redis_keys"]) == (len(gone), len(gone))
        assert await redis.keys() == [kept.encode()]


async def test_a_redis_that_is_slow_is_waited_for(environ: dict[str, str], redis_url: str) -> None:
    """Longer than a message may wait for it: what stays cached of an erased person stays for a day."""
    key = customer_key("1001", PHONE)
    async with Redis.from_url(redis_url) as redis, Proxy.before(redis_url) as proxy:
        await redis.set(key, "1")
        proxy.slow(latency_s=0.2)

        url = proxy.url(redis_url)
        outcome = await run(
            environ | {"REDIS_URL": url, "WHATSAPP_PHONE_NUMBER_ID": "1001"}, "erase", PHONE, "--yes"
        )

        assert (outcome.code, outcome.err) == (0, "")
        assert await redis.keys() == []


async def test_without_redis_the_database_is_erased_and_the_rest_is_told(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_person(conn, ANA, await add_campaign(conn))

    outcome = await run(environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}, "erase", PHONE, "--yes", "--json")

    assert outcome.code == 1
    assert outcome.json["redis_keys"] is None
    assert outcome.err.startswith("wabus: Redis is away")
    assert outcome.err.count("\n") == 1
    assert not mentions(await take_snapshot(conn), PHONE, ANA.tag)


async def test_what_is_written_while_it_runs_goes_too(conn: Connection, environ: dict[str, str]) -> None:
    async def is_waited_for() -> bool:
        return await lock_waiters(conn) == 1

    # Given a worker that holds the conversation of the person, and has a message and its status in hand
    mapping = await add_mapping(conn, wa_id=PHONE)
    async with conn.transaction():
        await conn.execute("update conversation_mappings set last_activity_at = now() where id = $1", mapping)
        message = await add_message(conn, mapping_id=mapping, wamid="wamid.late")
        await insert(
            conn,
            "status_events",
            wamid="wamid.late",
            message_id=message,
            status="sent",
            occurred_at=NOON,
        )
        # When the erasure comes to that conversation before the worker commits
        erasing = asyncio.create_task(run(environ, "erase", PHONE, "--yes", "--json"))
        await until(is_waited_for)
        # and others of the person are stored after its search
        body = b'{"wa_id": "%s"}' % PHONE.encode()
        late = {"status": "sent", "occurred_at": NOON, "details": json.dumps({"recipient_id": PHONE})}
        await insert(
            conn,
            "dead_letter_queue",
            source_queue="inbound-resolver",
            reason="expired",
            raw_body=body,
            payload=body.decode(),
        )
        await insert(conn, "status_events", wamid="wamid.other", **late)
    outcome = await erasing

    # Then
    assert outcome.json["rows"]["message_tracking"] == 1
    assert outcome.json["rows"]["dead_letter_queue"] == 1
    assert not mentions(await take_snapshot(conn), "wamid.late", PHONE)


async def test_nothing_stored_is_no_error(conn: Connection, environ: dict[str, str]) -> None:
    outcome = await run(environ, "erase", PHONE, "--yes")

    assert (outcome.code, outcome.out) == (0, f"Nothing is stored of {PHONE}.\n")


async def test_where_nobody_can_confirm_nothing_is_erased(conn: Connection, environ: dict[str, str]) -> None:
    await add_person(conn, ANA, await add_campaign(conn))
    before = await take_snapshot(conn)

    outcome = await run(environ, "erase", PHONE)

    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert await take_snapshot(conn) == before


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 2, 1), (f"{PHONE}\n".encode(), 0, 0)])
async def test_on_a_terminal_a_person_confirms_what_they_see(
    answer: bytes, code: int, left: int, conn: Connection, environ: dict[str, str]
) -> None:
    await insert(conn, "customer_profiles", phone=PHONE)
    ours, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "workers", "profile", "erase", PHONE),
        stdin=terminal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "USER": "tester", **environ},
    )
    os.close(terminal)
    try:
        os.write(ours, answer)
        out, err = await process.communicate()
    finally:
        os.close(ours)

    assert process.returncode == code, err
    assert b"customer_profiles" in out
    assert await conn.fetchval("select count(*) from customer_profiles") == left


@pytest.mark.parametrize("arguments", [("show", "abc"), ("erase",), ("opt-in", "12"), ("erase", "*")])
async def test_what_is_no_address_exits_2(arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    outcome = await run(environ, *arguments)

    assert outcome.code == 2
    assert outcome.err.startswith("Usage: wabus profile")


async def test_a_database_that_is_away_is_told_in_one_line() -> None:
    environ = {"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/wabus"}

    for arguments in (("show", PHONE), ("opt-in", PHONE), ("erase", PHONE, "--yes")):
        outcome = await run(environ, *arguments)

        assert outcome.code == 1
        assert outcome.err.startswith("wabus: PostgreSQL at ")
        assert outcome.err.count("\n") == 1


async def test_help_shows_an_example() -> None:
    for command in ("show", "opt-in", "opt-out", "erase"):
        outcome = await run({}, command, "--help")

        assert outcome.code == 0
        assert f"wabus profile {command}" in outcome.out.partition("Example:")[2]
