"""`wabus audit` as a program: every change by a person is there, with who, when and to what."""

import pytest

from schema.migrator import load_migrations
from tests.support.program import run_wabus
from tests.support.rows import Connection, insert
from tests.support.terminal import show_at_terminal

PHONE = "491700000001"


async def add_lines(conn: Connection) -> None:
    for actor, action, subject, age in (
        ("ana", "number.pause", "1001", "3 days"),
        ("ben", "number.resume", "1001", "2 hours"),
        ("ana", "campaign.launch", "spring", "1 minute"),
    ):
        await conn.execute(
            "insert into audit_log (at, actor, action, subject)"
            " values (now() - $4::text::interval, $1, $2, $3)",
            actor,
            action,
            subject,
            age,
        )


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        ([], ["number.pause", "number.resume", "campaign.launch"]),
        (["--since", "3h"], ["number.resume", "campaign.launch"]),
        (["--since", "2020-01-01", "--actor", "ana"], ["number.pause", "campaign.launch"]),
        (["--since", "2999-01-01T00:00+02:00"], []),
        (["--subject", "1001"], ["number.pause", "number.resume"]),
        (["--actor", "ana", "--subject", "spring"], ["campaign.launch"]),
        (["--limit", "1"], ["campaign.launch"]),
        (["--limit", "1", "--all"], ["number.pause", "number.resume", "campaign.launch"]),
    ],
)
async def test_lines_are_filtered_and_come_oldest_first(
    conn: Connection, database_url: str, options: list[str], actions: list[str]
) -> None:
    await add_lines(conn)

    outcome = await run_wabus("audit", *options, "--json", environ={"DATABASE_URL": database_url})

    assert outcome.code == 0
    assert [line["action"] for line in outcome.json["lines"]] == actions


async def test_what_is_left_out_is_said_and_a_narrow_terminal_breaks_nothing(
    conn: Connection, database_url: str
) -> None:
    letter = "0199c0de-0000-7000-8000-00000000abcd"
    await insert(conn, "audit_log", actor="ana", action="dlq.replay", subject=letter)
    await add_lines(conn)
    environ = {"DATABASE_URL": database_url}

    narrow = show_at_terminal(["audit", "--subject", letter], 60, environ=environ)
    cut = await run_wabus("audit", "--limit", "2", environ=environ)

    assert f"subject  {letter}\n" in narrow
    assert "2 of 4 lines" in cut.out


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "5w"])
async def test_a_beginning_that_is_none_is_a_usage_error(since: str) -> None:
    outcome = await run_wabus("audit", "--since", since, environ={})

    assert outcome.code == 2
    assert f"{since!r} is neither an age" in outcome.err


async def test_what_changes_something_writes_its_line(conn: Connection, database_url: str) -> None:
    # Given a customer, and a person at work
    environ = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    await insert(
        conn,
        "dead_letter_queue",
        id="0199c0de-0000-7000-8000-00000000abcd",
        source_queue="outbound-sender",
        raw_body=b"{}",
        dedupe_key="one",
    )

    # When
    for command in (
        f"profile opt-out {PHONE}",
        f"profile erase {PHONE} --yes",
        "number pause 1001",
        "number resume 1001",
        "dlq dismiss 0199c0de --why test",
    ):
        await run_wabus(*command.split(), "--by", "ana", environ=environ)

    # Then
    told = await run_wabus("audit", "--actor", "ana", "--json", environ=environ)
    actions = [line["action"] for line in told.json["lines"]]
    assert actions == ["profile.opt_out", "profile.erase", "number.pause", "number.resume", "dlq.dismiss"]
    theirs = await run_wabus("audit", "--subject", f"+{PHONE}", "--json", environ=environ)

    assert [line["action"] for line in theirs.json["lines"]] == ["profile.opt_out", "profile.erase"]
    assert PHONE not in theirs.out


async def test_a_migration_writes_its_line_with_it(empty_database: str) -> None:
    environ = {"DATABASE_URL": empty_database}

    await run_wabus("migrate", "--by", "ana", environ=environ)
    told = await run_wabus("audit", "--json", environ=environ)
    back = await run_wabus("migrate", "--to", "0", "--yes", environ=environ)

    assert [(line["actor"], line["action"], line["subject"]) for line in told.json["lines"]] == [
        ("ana", "migrate.up", f"{step.version:03}_{step.name}") for step in load_migrations()
    ]
    assert back.code == 0


async def test_a_database_away_is_named_with_the_command_that_helps() -> None:
    outcome = await run_wabus(
        "migrate", environ={"DATABASE_URL": "postgresql://ann:sesame7f3a@127.0.0.1:1/wabus"}
    )

    assert outcome.code == 1
    assert outcome.err.startswith("wabus: PostgreSQL at postgresql://***@127.0.0.1:1/wabus: ")
    assert "`wabus doctor`" in outcome.err
