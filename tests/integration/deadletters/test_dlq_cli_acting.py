"""`wabus dlq replay`, `dismiss` and `edit`: what an operator does to dead letters, and what is kept of it."""

import asyncio
import hashlib
import json
import os
import signal
import sys

import pytest

from tests.integration.deadletters.test_dlq_cli import Stock, environment, stock, wabus
from tests.support.cluster import Cluster
from tests.support.dead_letters import insert_letter, letters
from tests.support.program import run_wabus
from tests.support.waiting import until

__all__ = ["stock"]


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


async def audit_of(cluster: Cluster) -> list[tuple[str, str, str, dict[str, str]]]:
    rows = await cluster.conn.fetch("select actor, action, subject, details::text from audit_log order by id")
    return [(*row[:3], json.loads(row[3])) for row in rows]


async def test_what_an_operator_does_to_dead_letters_is_audited(cluster: Cluster, stock: Stock) -> None:
    await wabus(cluster, "replay", str(stock.reply), "--by", "ben")
    await wabus(cluster, "dismiss", str(stock.young), "--why", "test traffic")

    assert await audit_of(cluster) == [
        ("ben", "dlq.replay", str(stock.reply), {"why": "replayed by an operator"}),
        ("ana", "dlq.dismiss", str(stock.young), {"why": "test traffic"}),
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
    assert (
        "wa.outbound has no queue for 'replies.1001': keys are reply.<key>, utility.<key>, bulk.<key>;"
        " give --routing-key" in refused.out
    )
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
    assert f"would stay: {lost['id']}: wa.outbound has no queue for 'replies.1001'" in plain.out
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
    told = {"why": letter["resolution"]}

    assert await audit_of(cluster) == [("ana", "dlq.edit", str(row["id"]), told)]


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
