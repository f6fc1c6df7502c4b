"""`wabus dlq` as an operator and a program use it, on real servers."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from shared.errors import WabusError
from tests.support.cluster import Cluster
from tests.support.dead_letters import insert_letter, letters
from workers.__main__ import cli


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def environment(cluster: Cluster) -> dict[str, str]:
    return {"RABBITMQ_URL": cluster.rabbitmq_url, "DATABASE_URL": cluster.database_url, "USER": "ana"}


async def wabus(cluster: Cluster, *arguments: str, **environ: str) -> Answer:
    """Run `wabus dlq …` in this process, in a thread of its own; what it raises is told as `wabus` does."""
    runner = CliRunner(env={**environment(cluster), "COLUMNS": "200", **environ})
    result = await asyncio.to_thread(runner.invoke, cli, ["dlq", *arguments])
    if isinstance(result.exception, WabusError):
        return Answer(1, result.stdout, f"{result.stderr}wabus: {result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


async def grow_old(cluster: Cluster, letter: UUID, age: timedelta) -> None:
    statement = "update dead_letter_queue set created_at = now() - $2::interval where id = $1"
    await cluster.conn.execute(statement, letter, age)


@dataclass(frozen=True, slots=True)
class Stock:
    """Five dead letters of different kinds."""

    young: UUID
    old: UUID
    unrouted: UUID
    reply: UUID
    ambiguous: UUID

    @property
    def all(self) -> set[UUID]:
        return {self.young, self.old, self.unrouted, self.reply, self.ambiguous}


@pytest.fixture
async def stock(cluster: Cluster) -> Stock:
    outbound = {"source_queue": "outbound-sender", "priority": 2, "routing_key": "reply.1"}
    stock = Stock(
        young=(await insert_letter(cluster))["id"],
        old=(await insert_letter(cluster, reason="database_error"))["id"],
        unrouted=(await insert_letter(cluster, reason="unrouted", source_queue="wa.inbound"))["id"],
        reply=(await insert_letter(cluster, reason="send_rejected", **outbound))["id"],
        ambiguous=(await insert_letter(cluster, reason="send_ambiguous", **outbound))["id"],
    )
    await grow_old(cluster, stock.old, timedelta(hours=3))
    return stock


FILTERS = [
    (["--reason", "database_error"], {"old"}),
    (["--reason", "database_error", "--reason", "unrouted"], {"old", "unrouted"}),
    (["--queue", "outbound-sender"], {"reply", "ambiguous"}),
    (["--older-than", "2h"], {"old"}),
    (["--newer-than", "90m"], {"young", "unrouted", "reply", "ambiguous"}),
    (["--older-than", "2h", "--reason", "invalid_payload"], set()),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
async def test_filters_choose_by_reason_queue_and_age(
    cluster: Cluster, stock: Stock, filters: list[str], expected: set[str]
) -> None:
    ids = {str(getattr(stock, name)) for name in expected}

    listed = (await wabus(cluster, "list", "--json", *filters)).told
    dismissed = (await wabus(cluster, "dismiss", "--why", "test", "--yes", "--json", *filters)).told

    assert {letter["id"] for letter in listed["dead_letters"]} == ids
    assert listed["total"] == len(ids) == sum(listed["counts"].values())
    assert set(dismissed["dismissed"]) == ids
    rows = {str(row["id"]): row["status"] for row in await letters(cluster)}

    assert {letter for letter, status in rows.items() if status == "dismissed"} == ids


async def test_the_list_is_a_table_with_counts_and_without_texts(cluster: Cluster, stock: Stock) -> None:
    await insert_letter(
        cluster, payload='{"message_text": "a secret"}', raw_body=b'{"message_text": "a secret"}'
    )

    answer = await wabus(cluster, "list")

    assert answer.code == 0
    assert stock.young.hex[:8] in answer.out
    assert "send_rejected" in answer.out
    assert "wa_id: field required" in answer.out
    assert "6 dead letters: invalid_payload 2, database_error 1" in answer.out
    assert "secret" not in answer.out


async def test_the_list_for_programs_has_each_dead_letter_whole(cluster: Cluster) -> None:
    text = await insert_letter(cluster, payload='{"a": 1}', raw_body=b'{"a": 1}')
    other = await insert_letter(cluster, payload=None, raw_body=b"\xff")

    told = (await wabus(cluster, "list", "--json")).told["dead_letters"]

    bodies = {letter["id"]: (letter["original_payload"], letter["raw_body_base64"]) for letter in told}
    assert bodies == {str(text["id"]): ({"a": 1}, None), str(other["id"]): (None, "/w==")}
    asked = {"reason", "error_message", "retry_count", "timestamp", "source_queue", "routing_key", "headers"}

    assert all(asked <= letter.keys() for letter in told)


async def test_the_list_has_a_limit_and_the_counts_have_none(cluster: Cluster, stock: Stock) -> None:
    told = (await wabus(cluster, "list", "--limit", "2", "--json")).told
    assert len(told["dead_letters"]) == 2
    assert {letter["source_queue"] for letter in told["dead_letters"]} == {"outbound-sender"}
    assert told["total"] == 5
    assert "(2 shown)" in (await wabus(cluster, "list", "--limit", "2")).out


async def test_an_empty_list_says_so(cluster: Cluster) -> None:
    assert (await wabus(cluster, "list")).out == "No dead letters match.\n"
    assert (await wabus(cluster, "list", "--json")).told == {"total": 0, "counts": {}, "dead_letters": []}


async def test_a_dead_letter_is_shown_whole_by_the_beginning_of_its_id(cluster: Cluster) -> None:
    row = await insert_letter(
        cluster,
        payload='{"message_text": "hello [bold]there[/bold]"}',
        raw_body=b'{"message_text": "hello"}',
        headers='{"x-own": "kept"}',
    )
    answer = await wabus(cluster, "show", str(row["id"])[:-2])
    assert answer.code == 0
    for part in (
        str(row["id"]),
        "wa_id: field required",
        "x-own",
        "hello [bold]there[/bold]",
        "491700000001",
    ):
        assert part in answer.out
    told = (await wabus(cluster, "show", row["id"].hex, "--json")).told

    assert told["original_payload"] == {"message_text": "hello [bold]there[/bold]"}
    assert told["raw_body_base64"] is None
    assert (told["reason"], told["retry_count"], told["source_queue"]) == (
        "invalid_payload",
        0,
        "inbound-resolver",
    )
    assert told["headers"] == {"x-own": "kept"}
    assert told["status"] == "pending"


async def test_a_body_that_is_no_text_cannot_speak_to_the_terminal(cluster: Cluster) -> None:
    row = await insert_letter(
        cluster, payload=None, raw_body=b"\x1b[2J\xff\x00bytes", error_message="bad \x1b[31m"
    )
    answer = await wabus(cluster, "show", str(row["id"]))
    assert "\x1b[2J" not in answer.out
    assert "\\x1b[2J\\xff\\x00bytes" in answer.out
    assert "bad \\x1b[31m" in answer.out
    told = (await wabus(cluster, "show", str(row["id"]), "--json")).told

    assert told["original_payload"] is None
    assert told["raw_body_base64"] == "G1sySv8AYnl0ZXM="
    assert "\x1b" not in (await wabus(cluster, "list")).out


@pytest.mark.parametrize(
    ("beginning", "code", "said"),
    [("ffffffff", 1, "no dead letter"), ("xyz", 2, "no beginning"), ("1", 1, "more than one")],
)
async def test_an_id_that_names_none_or_several_is_refused(
    cluster: Cluster, beginning: str, code: int, said: str
) -> None:
    for last in ("1", "2"):
        await insert_letter(cluster, id=UUID(f"10000000-0000-0000-0000-00000000000{last}"))
    answer = await wabus(cluster, "show", beginning)

    assert answer.code == code
    assert said in answer.err


async def test_every_command_has_help_with_an_example(cluster: Cluster) -> None:
    for command in ([], ["list"], ["show"], ["edit"], ["replay"], ["dismiss"]):
        answer = await wabus(cluster, *command, "--help")
        assert answer.code == 0
        assert "Example:\n  wabus dlq" in answer.out.replace("    wabus", "  wabus").replace(
            "  Example", "Example"
        )
