"""`wabus dlq` as an operator and a program use it, on real servers."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from tests.support.cluster import Cluster
from tests.support.dead_letters import insert_letter, letters
from tests.support.program import run_wabus
from tests.support.waiting import until
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
    """Run `wabus dlq …` in this process, in a thread of its own."""
    runner = CliRunner(env={**environment(cluster), "COLUMNS": "200", **environ})
    result = await asyncio.to_thread(runner.invoke, cli, ["dlq", *arguments])
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


async def test_replaying_puts_back_what_was_chosen_and_counts_it(cluster: Cluster, stock: Stock) -> None:
    answer = await wabus(cluster, "replay", "--queue", "outbound-sender", "--queue", "inbound-resolver")

    assert answer.code == 0
    assert "Replayed 3 of 3 dead letters" in answer.out
    assert "send_rejected 1" in answer.out
    assert "1 send_ambiguous, which need --accept-duplicate" in answer.out
    rows = {row["id"]: row for row in await letters(cluster)}
    assert rows[stock.reply]["status"] == rows[stock.old]["status"] == "replayed"
    assert rows[stock.reply]["resolved_by"] == "ana"
    assert rows[stock.ambiguous]["status"] == rows[stock.unrouted]["status"] == "pending"
    assert len(await cluster.take("outbound-sender")) == 1
    assert len(await cluster.take("inbound-resolver")) == 2


async def test_an_ambiguous_send_named_without_consent_is_an_error(cluster: Cluster, stock: Stock) -> None:
    answer = await wabus(cluster, "replay", str(stock.ambiguous), "--json")
    assert answer.code == 1
    assert answer.told["needs_accept_duplicate"] == [str(stock.ambiguous)]
    assert (await wabus(cluster, "replay", str(stock.ambiguous), "--accept-duplicate")).code == 0
    assert len(await cluster.take("outbound-sender")) == 1


@pytest.mark.parametrize("command", ["replay", "dismiss"])
async def test_a_dry_run_changes_nothing(cluster: Cluster, stock: Stock, command: str) -> None:
    why = ["--why", "test"] if command == "dismiss" else []

    answer = await wabus(cluster, command, "--all", "--dry-run", *why, RABBITMQ_URL="amqp://127.0.0.1:1/")
    told = (await wabus(cluster, command, "--all", "--dry-run", "--json", *why)).told

    assert answer.code == 0
    assert f"Would {command} {5 if why else 4} dead letters: " in answer.out
    assert told["dry_run"] is True
    assert told["chosen"] == (5 if why else 4)
    assert {row["status"] for row in await letters(cluster)} == {"pending"}
    assert await cluster.take("inbound-resolver") == []


async def test_a_limit_takes_the_most_pressing_and_a_rate_still_replays_all(
    cluster: Cluster, stock: Stock
) -> None:
    rehearsed = await wabus(cluster, "replay", "--dry-run", "--json")
    assert rehearsed.told["chosen"] == 4
    first = await wabus(cluster, "replay", "--limit", "1", "--json")
    assert first.told["replayed"] == [str(stock.reply)]
    rest = await wabus(cluster, "replay", "--all", "--rate", "20", "--json")
    assert set(rest.told["replayed"]) == {str(letter) for letter in (stock.young, stock.old, stock.unrouted)}


@pytest.mark.parametrize("command", [["replay"], ["dismiss", "--why", "test"]])
async def test_nothing_is_done_to_everything_by_accident(
    cluster: Cluster, stock: Stock, command: list[str]
) -> None:
    assert (await wabus(cluster, *command)).code == 2
    assert (await wabus(cluster, *command, "--all", "--reason", "unrouted")).code == 2
    assert {row["status"] for row in await letters(cluster)} == {"pending"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--reason", "no_such_reason"],
        ["list", "--older-than", "soon"],
        ["replay", "--all", "--rate", "0"],
        ["replay", "--all", "--limit", "0"],
        ["dismiss", "--all"],
        ["show"],
    ],
)
async def test_wrong_usage_exits_2(cluster: Cluster, arguments: list[str]) -> None:
    assert (await wabus(cluster, *arguments)).code == 2


async def test_dismissing_keeps_who_and_why_and_is_final(cluster: Cluster, stock: Stock) -> None:
    answer = await wabus(cluster, "dismiss", str(stock.young), "--why", "test traffic", "--by", "ben")
    again = await wabus(cluster, "dismiss", str(stock.young), "--why", "again", "--by", "eve")
    replay = await wabus(cluster, "replay", str(stock.young))

    assert (answer.code, again.code, replay.code) == (0, 1, 1)
    assert "Dismissed 1 of 1 dead letters" in answer.out
    assert "is not open" in again.out
    row = next(row for row in await letters(cluster) if row["id"] == stock.young)
    assert (row["status"], row["resolved_by"], row["resolution"]) == ("dismissed", "ben", "test traffic")
    assert row["dismissed_at"] is not None
    settled = (await wabus(cluster, "list", "--settled", "--json")).told
    assert [letter["id"] for letter in settled["dead_letters"]] == [str(stock.young)]


async def test_what_cannot_be_put_back_is_named_and_exits_1(cluster: Cluster, stock: Stock) -> None:
    row = await insert_letter(cluster, source_queue="no-such-queue")
    answer = await wabus(cluster, "replay", "--all")
    assert answer.code == 1
    assert "Replayed 4 of 5 dead letters" in answer.out
    assert f"failed, still pending: {row['id']}: no queue took the message" in answer.out


async def test_an_absent_broker_is_one_line_and_nothing_is_claimed(cluster: Cluster, stock: Stock) -> None:
    absent = environment(cluster) | {"RABBITMQ_URL": "amqp://guest:hidden@127.0.0.1:1/"}
    answer = await run_wabus("dlq", "replay", "--all", environ=absent)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("wabus: cannot reach RabbitMQ at amqp://")
    assert answer.err.count("\n") == 1
    assert "hidden" not in answer.err
    assert {row["status"] for row in await letters(cluster)} == {"pending"}


async def test_two_operators_replaying_one_dead_letter_produce_one_message(cluster: Cluster) -> None:
    row = await insert_letter(cluster)

    answers = await asyncio.gather(
        *(
            run_wabus("dlq", "replay", str(row["id"]), "--by", name, "--json", environ=environment(cluster))
            for name in ("ana", "ben")
        )
    )

    assert sorted(answer.code for answer in answers) == [0, 1]
    assert sorted(len(answer.json["replayed"]) for answer in answers) == [0, 1]
    [message] = await cluster.take("inbound-resolver")
    assert message.headers["x-replay-of"] == str(row["id"])
    [letter] = await letters(cluster)
    assert (letter["status"], letter["replay_count"]) == ("replayed", 1)


async def audit_of(cluster: Cluster) -> list[tuple[str, str, str]]:
    rows = await cluster.conn.fetch("select actor, action, subject from audit_log order by id")
    return [tuple(row) for row in rows]


async def test_what_an_operator_does_to_dead_letters_is_audited(cluster: Cluster, stock: Stock) -> None:
    await wabus(cluster, "replay", str(stock.reply), "--by", "ben")
    await wabus(cluster, "dismiss", str(stock.young), "--why", "test traffic")

    assert await audit_of(cluster) == [
        ("ben", "dlq.replay", str(stock.reply)),
        ("ana", "dlq.dismiss", str(stock.young)),
    ]


async def test_many_are_dismissed_only_with_a_yes(cluster: Cluster, stock: Stock) -> None:
    refused = await wabus(cluster, "dismiss", "--all", "--why", "test")
    assert (refused.code, "give --yes" in refused.err) == (2, True)
    assert {row["status"] for row in await letters(cluster)} == {"pending"}
    assert (await wabus(cluster, "dismiss", "--all", "--why", "test", "--yes")).code == 0
    assert {row["status"] for row in await letters(cluster)} == {"dismissed"}


UNROUTED = {
    "reason": "unrouted",
    "source_queue": "wa.outbound",
    "exchange": "wa.outbound",
    "routing_key": "replies.1001",
}


async def test_an_unrouted_letter_goes_back_only_where_something_is_bound(cluster: Cluster) -> None:
    row = await insert_letter(cluster, **UNROUTED)

    refused = await wabus(cluster, "replay", str(row["id"]))
    assert refused.code == 1
    assert "no queue is bound to wa.outbound for 'replies.1001': give --routing-key" in refused.out
    assert (await letters(cluster))[0]["status"] == "pending"
    wrong = await wabus(cluster, "replay", str(row["id"]), "--routing-key", "replay.1")
    assert (wrong.code, await cluster.depth("dlq-handler")) == (1, 0)

    done = await wabus(cluster, "replay", str(row["id"]), "--routing-key", "reply.1001")

    assert done.code == 0
    [message] = await cluster.take("outbound-sender")
    assert message.routing_key == "reply.1001"


async def test_a_dry_run_says_which_unrouted_letters_would_stay(cluster: Cluster) -> None:
    lost = await insert_letter(cluster, **UNROUTED)
    await insert_letter(cluster, **UNROUTED | {"routing_key": "reply.1001"})

    plain = await wabus(cluster, "replay", "--all", "--dry-run", RABBITMQ_URL="amqp://127.0.0.1:1/")
    keyed = await wabus(cluster, "replay", "--all", "--dry-run", "--routing-key", "reply.1", "--json")

    assert plain.code == 0
    assert "Would replay 1 of 2 dead letters: unrouted 2" in plain.out
    assert f"would stay: {lost['id']}: no queue is bound to wa.outbound for 'replies.1001'" in plain.out
    assert (keyed.told["chosen"], keyed.told["failed"]) == (2, [])
    assert {row["status"] for row in await letters(cluster)} == {"pending"}


async def test_a_routing_key_is_refused_for_what_goes_back_to_its_queue(
    cluster: Cluster, stock: Stock
) -> None:
    answer = await wabus(cluster, "replay", "--all", "--routing-key", "reply.1")
    assert (answer.code, "--reason unrouted" in answer.err) == (2, True)


async def test_an_edited_body_is_replayed_and_the_old_one_kept(cluster: Cluster) -> None:
    old = b'{"wamid": "wamid.1", "wa_id": "none", "timestamp": 1760000000}'
    row = await insert_letter(cluster, payload=old.decode(), raw_body=old)

    done = await wabus(cluster, "edit", str(row["id"]), EDITOR="sed -i s/none/491700000001/")

    assert done.code == 0
    [message] = await cluster.take("inbound-resolver")
    assert json.loads(message.body) == {
        "wamid": "wamid.1",
        "wa_id": "491700000001",
        "timestamp": 1760000000,
    }
    [letter] = await letters(cluster)
    assert (letter["status"], letter["raw_body"]) == ("replayed", old)
    assert f"sha256 {hashlib.sha256(message.body).hexdigest()[:16]}" in letter["resolution"]
    assert await audit_of(cluster) == [("ana", "dlq.edit", str(row["id"]))]


@pytest.mark.parametrize(
    ("editor", "said"),
    [
        ("sed -i s/none/nobody/", "is not valid: wa_id: "),
        ("sed -i s/}//", "is not valid: body: not valid JSON"),
        ("true", "left as it is"),
    ],
)
async def test_an_edit_that_its_queue_would_not_take_changes_nothing(
    cluster: Cluster, editor: str, said: str
) -> None:
    old = b'{"wamid": "wamid.1", "wa_id": "none", "timestamp": 1760000000}'
    row = await insert_letter(cluster, payload=old.decode(), raw_body=old)

    refused = await wabus(cluster, "edit", str(row["id"]), EDITOR=editor)

    assert (refused.code, said in refused.err) == (1, True)
    assert (await letters(cluster))[0]["status"] == "pending"
    assert await cluster.take("inbound-resolver") == []


async def test_an_interrupted_replay_says_how_far_it_came(cluster: Cluster) -> None:
    for number in range(3):
        await insert_letter(cluster, raw_body=b"{}", routing_key=str(number))
    program = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "workers", "dlq", "replay", "--all", "--rate", "0.2"],
        env={"PATH": os.environ["PATH"], **environment(cluster)},
        stderr=asyncio.subprocess.PIPE,
    )
    statement = "select count(*) from dead_letter_queue where status = 'replayed'"

    async def has_begun() -> bool:
        return int(await cluster.conn.fetchval(statement)) == 1

    await until(has_begun)
    program.send_signal(signal.SIGINT)
    _, err = await program.communicate()

    assert program.returncode == 1
    assert "replayed 1 of 3" in err.decode()


async def test_every_command_has_help_with_an_example(cluster: Cluster) -> None:
    for command in ([], ["list"], ["show"], ["edit"], ["replay"], ["dismiss"]):
        answer = await wabus(cluster, *command, "--help")
        assert answer.code == 0
        assert "Example:\n  wabus dlq" in answer.out.replace("    wabus", "  wabus").replace(
            "  Example", "Example"
        )
