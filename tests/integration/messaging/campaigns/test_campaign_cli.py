"""`wabus campaign` as a program, on real servers."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.campaigns import (
    BATCHER,
    become,
    campaign,
    counts,
    customer,
    customers,
    has_counts,
    is_depth,
    is_state,
    queued_messages,
    state,
    ticking,
    told_of,
)
from tests.support.campaigns import launch as publish_launch
from tests.support.cluster import Cluster
from tests.support.program import Outcome, run_wabus
from tests.support.rows import add_campaign, insert
from tests.support.waiting import until

TEMPLATE = ("--template", "welcome", "--language", "en")


async def wabus(cluster: Cluster, *arguments: str, **environ: str) -> Outcome:
    variables = {
        "RABBITMQ_URL": cluster.rabbitmq_url,
        "DATABASE_URL": cluster.database_url,
        "WHATSAPP_PHONE_NUMBER_ID": "1001",
    }
    return await run_wabus("campaign", *arguments, environ=variables | environ)


async def launch(cluster: Cluster, path: Path, *arguments: str) -> Outcome:
    return await wabus(cluster, "launch", str(path), "--id", "spring", "--yes", *arguments)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "customers.csv", ((customer(number), f"name {number}") for number in range(5)))


def written(path: Path, rows: Iterable[tuple[str, str]], header: str = "wa_id,name") -> Path:
    path.write_text("\n".join([header, *(f"{wa_id},{name}" for wa_id, name in rows)]))
    return path


async def test_a_file_is_launched_and_sent(cluster: Cluster, file: Path) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        launched = await launch(cluster, file, *TEMPLATE, "--name", "Spring sale", "--by", "ana")
        await until(lambda: is_depth(cluster, "outbound-sender.bulk", 5))
    assert (launched.code, launched.err) == (0, "")
    assert "spring: launched with 5 recipients" in launched.out
    [message] = [item for item in await queued_messages(cluster) if item["wa_id"] == customer(3)]
    assert message["phone_number_id"] == "1001"
    assert message["template"]["components"] == [
        {"type": "body", "parameters": [{"type": "text", "parameter_name": "name", "text": "name 3"}]}
    ]
    row = await cluster.conn.fetchrow("select name, batch_size, category from broadcast_campaigns")
    assert row is not None
    assert tuple(row) == ("Spring sale", 50, "marketing")
    audited = await cluster.conn.fetchrow("select actor, action, subject, details from audit_log")

    assert audited is not None
    assert tuple(audited)[:3] == ("ana", "campaign.launch", "spring")


async def test_the_same_launch_again_is_nothing_new(cluster: Cluster, file: Path) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, file, *TEMPLATE, "--at", "2026-01-01T10:00:00.123456+01:00")
        await until(lambda: has_counts(cluster, {"queued": 5}))
        again = await launch(cluster, file, *TEMPLATE, "--at", "2026-01-01T09:00:00.123456Z", "--json")

    assert again.code == 0
    assert (again.json["new"], again.json["status"], again.json["recipients"]) == (False, "running", 5)
    assert await counts(cluster) == {"queued": 5}
    assert await cluster.depth("dlq-handler") == 0


async def test_a_launch_under_an_id_that_says_something_else_is_refused(cluster: Cluster, file: Path) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, file, *TEMPLATE)
        await until(lambda: is_state(cluster, "running"))
        other_text = await launch(cluster, file, "--text", "Hello")
        more = written(file.with_name("more.csv"), [(customer(number), "x") for number in range(6)])
        other_file = await launch(cluster, more, *TEMPLATE)

    assert (other_text.code, other_file.code) == (1, 1)
    assert other_text.err == (
        "wabus: campaign spring exists (running) with other content: choose another --id\n"
    )
    assert other_file.err == (
        "wabus: campaign spring was launched (running) with other recipients: choose another --id\n"
    )
    assert await counts(cluster) == {"pending": 5}


async def test_a_launch_that_was_not_taken_up_yet_may_be_repeated_with_a_better_file(
    cluster: Cluster, file: Path
) -> None:
    await launch(cluster, file, *TEMPLATE)
    assert await state(cluster) == "draft"
    better = written(file.with_name("better.csv"), [(customer(number), "x") for number in (1, 7)])
    assert (await launch(cluster, better, *TEMPLATE)).code == 0
    assert "exists (draft) with other content" in (await launch(cluster, file, "--text", "Hello")).err
    async with cluster.running(BATCHER), ticking(cluster):
        await until(lambda: has_counts(cluster, {"queued": 2}))
    names = [message["wa_id"] for message in await queued_messages(cluster)]

    assert names == [customer(1), customer(7)]
    assert await cluster.depth("dlq-handler") == 0


async def test_a_draft_that_an_application_made_is_left_alone(cluster: Cluster, file: Path) -> None:
    await add_campaign(cluster.conn, id="spring")
    await insert(cluster.conn, "broadcast_recipients", campaign_id="spring", wa_id=customer(9))
    refused = await launch(cluster, file, *TEMPLATE)

    assert refused.code == 1
    assert "exists (draft) with other content" in refused.err
    assert await counts(cluster) == {"pending": 1}


async def test_a_large_file_is_taken_over_whole(cluster: Cluster, tmp_path: Path) -> None:
    rows = [(customer(number), "x" * 100) for number in range(20_000)]
    path = written(tmp_path / "large.csv", [*rows, *rows[:3]])
    outcome = await launch(cluster, path, *TEMPLATE, "--json")

    assert outcome.code == 0
    assert (outcome.json["recipients"], outcome.json["duplicates"]) == (20_000, 3)
    assert await counts(cluster) == {"pending": 20_000}


async def test_a_wrong_file_is_told_line_by_line_and_nothing_is_stored(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = written(tmp_path / "wrong.csv", [(customer(1), "Ana"), ("hello", "Ben"), ("1", "Cid")])
    outcome = await launch(cluster, path, *TEMPLATE)
    assert (outcome.code, outcome.out) == (1, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"{path}: line 3: wa_id: neither a phone number")
    assert lines[1].startswith(f"{path}: line 4: wa_id:")
    as_json = await launch(cluster, path, *TEMPLATE, "--json")

    assert [problem["line"] for problem in as_json.json["errors"]] == [3, 4]
    assert await cluster.conn.fetchval("select count(*) from broadcast_campaigns") == 0


async def test_a_dry_run_says_who_would_be_skipped_and_changes_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    await insert(cluster.conn, "customer_profiles", phone=customer(0), opt_in_marketing=False)
    rows = [(customer(0), "Ana"), (customer(1), ""), (customer(2), "Cid"), (customer(2), "again")]
    path = written(tmp_path / "customers.csv", rows)
    command = ("launch", str(path), "--id", "spring", "--dry-run")
    by_template = await wabus(cluster, *command, *TEMPLATE, "--json")
    by_text = await wabus(cluster, *command, "--text", "Hello {{name}}")

    assert (by_template.code, by_text.code) == (0, 0)
    assert by_template.json["skipped"] == {"opted_out": 1, "missing_variable": 1}
    assert (by_template.json["would_send"], by_template.json["duplicates"]) == (1, [5])
    assert "skipped: window_closed" in by_text.out
    assert "line 5" in by_text.out
    assert await cluster.conn.fetchval("select count(*) from broadcast_campaigns") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "either --template"),
        ((*TEMPLATE, "--text", "x"), 2, "either --template"),
        (("--template", "x"), 2, "belong together"),
        ((*TEMPLATE, "--at", "soon"), 2, "neither ISO 8601"),
        ((*TEMPLATE, "--batch-size", "0"), 2, "batch-size"),
        ((*TEMPLATE, "--id", "x" * 101), 2, "campaign_id"),
        (("--text", "Hello {{city}}"), 1, "no column for city"),
    ],
)
async def test_a_command_that_cannot_be_meant_is_refused(
    cluster: Cluster, file: Path, arguments: tuple[str, ...], code: int, error: str
) -> None:
    outcome = await launch(cluster, file, *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert error in outcome.err


async def test_without_a_terminal_nobody_is_asked(cluster: Cluster, file: Path) -> None:
    outcome = await wabus(cluster, "launch", str(file), "--id", "spring", *TEMPLATE)
    assert outcome.code == 2
    assert "--yes" in outcome.err


async def test_servers_that_are_away_are_told_in_one_line(cluster: Cluster, file: Path) -> None:
    command = ("launch", str(file), "--id", "spring", "--yes", *TEMPLATE)
    no_broker = await wabus(cluster, *command, RABBITMQ_URL="amqp://guest:hidden@127.0.0.1:1/")
    no_database = await wabus(cluster, *command, DATABASE_URL="postgresql://postgres@127.0.0.1:1/none")

    assert (no_broker.code, no_database.code) == (1, 1)
    assert "cannot reach RabbitMQ" in no_broker.err
    assert "hidden" not in no_broker.err
    assert "PostgreSQL" in no_database.err
    assert await cluster.conn.fetchval("select count(*) from broadcast_campaigns") == 0


async def test_status_counts_and_foretells(cluster: Cluster) -> None:
    await insert(cluster.conn, "customer_profiles", phone=customer(0), opt_in_marketing=False)
    async with cluster.running(BATCHER), ticking(cluster):
        told = campaign(customers(10), batch_size=10, batch_delay_ms=3_600_000, name="Spring sale")
        await publish_launch(cluster, told)
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 1, "queued": 9}))
    await become(cluster, "queued", "sent", 3)
    one = await wabus(cluster, "status", "spring", "--json")
    [shown] = one.json["campaigns"]
    assert shown["recipients"] == {
        "pending": 0, "queued": 6, "sent": 3, "delivered": 0, "read": 0, "failed": 0, "skipped": 1,
    }  # fmt: skip
    assert shown["reasons"] == {"opted_out": 1}
    assert shown["rate"] > 0
    assert shown["eta_s"] > 0
    table = await wabus(cluster, "status")
    assert table.code == 0
    assert "Spring sale" in table.out
    assert "opted_out" in (await wabus(cluster, "status", "spring")).out
    unknown = await wabus(cluster, "status", "nobody")

    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "wabus: no campaign nobody; `wabus campaign status` lists them\n"


async def test_controls_are_carried_out_and_audited(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await publish_launch(cluster, campaign(customers(2)))
        await until(lambda: is_state(cluster, "running"))
        paused = await wabus(cluster, "pause", "spring", "--by", "ana")
        assert (paused.code, paused.out) == (0, "spring: paused\n")
        resumed = await wabus(cluster, "resume", "spring", "--json")
        assert resumed.json == {
            "campaign_id": "spring",
            "action": "resume",
            "status": "running",
            "carried_out": True,
        }
        assert (await wabus(cluster, "cancel", "spring", "--yes")).out == "spring: cancelled\n"
    assert (await wabus(cluster, "cancel", "spring", "--yes")).code == 0
    final = await wabus(cluster, "resume", "spring")
    assert (final.code, final.out) == (1, "")
    assert "campaign spring is cancelled" in final.err
    reasons = [event.get("reason") for event in told_of(cluster)]
    assert reasons == [
        None,
        "pause requested by ana",
        "resume requested by tester",
        "cancel requested by tester",
    ]
    actions = await cluster.conn.fetch("select action, actor from audit_log order by id")

    assert [tuple(row) for row in actions] == [
        ("campaign.pause", "ana"),
        ("campaign.resume", "tester"),
        ("campaign.cancel", "tester"),
    ]


async def test_a_control_that_nobody_takes_up_waits_in_the_queue(cluster: Cluster) -> None:
    await add_campaign(cluster.conn, id="spring")
    outcome = await wabus(cluster, "cancel", "spring", "--yes")
    assert outcome.code == 0
    assert "not carried out yet" in outcome.out
    async with cluster.running(BATCHER):
        await until(lambda: is_state(cluster, "cancelled"))


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
async def test_a_control_of_an_unknown_campaign_is_refused(cluster: Cluster, action: str) -> None:
    outcome = await wabus(cluster, action, "nobody")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "wabus: no campaign nobody; `wabus campaign status` lists them\n"
    assert await cluster.depth(BATCHER) == 0


async def test_columns_are_chosen_refused_lines_left_out_and_ambiguity_settled_beforehand(
    cluster: Cluster, tmp_path: Path
) -> None:
    path, refused = tmp_path / "customers.csv", tmp_path / "refused.csv"
    path.write_text(f"wa_id;name;city\n+{customer(1)};Ana;Ulm\n01700000001;Ben;Bonn\n")
    chosen = ("--params", "name", "--button", "0=city", "--on-ambiguous", "resend")

    stopped = await launch(cluster, path, *TEMPLATE, *chosen)
    async with cluster.running(BATCHER), ticking(cluster):
        launched = await launch(cluster, path, *TEMPLATE, *chosen, "--skip-invalid", str(refused))
        await until(lambda: is_depth(cluster, "outbound-sender.bulk", 1))

    assert (stopped.code, launched.code) == (1, 0)
    assert "line 3: wa_id: a number that begins with 0" in stopped.err
    assert refused.read_text(encoding="utf-8-sig").splitlines() == [
        "line,reason,wa_id,name,city",
        "3,wa_id: a number that begins with 0 is not international: write it with its country code,"
        "01700000001,Ben,Bonn",
    ]
    [message] = await queued_messages(cluster)

    assert message["on_ambiguous"] == "resend"
    assert [part["type"] for part in message["template"]["components"]] == ["body", "button"]


async def test_a_status_says_why_nothing_moves(cluster: Cluster) -> None:
    await add_campaign(cluster.conn, status="running", phone_number_id="1001")
    await insert(
        cluster.conn, "business_numbers", phone_number_id="1001", state="paused", reason="quality is low"
    )

    shown = await wabus(cluster, "status", "spring")
    told = await wabus(cluster, "status", "spring", "--json")

    assert "number 1001 is paused since" in shown.out
    assert "quality is low" in shown.out
    holds = told.json["campaigns"][0]["holds"]

    assert [hold.split(" ")[0] for hold in holds] == ["number", "no"]


async def test_a_cancel_that_nobody_can_confirm_is_refused_in_one_line(cluster: Cluster) -> None:
    await add_campaign(cluster.conn, id="spring")
    refused = await wabus(cluster, "cancel", "spring")

    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("wabus: Campaign spring would be cancelled")
    assert refused.err.endswith("say it with --yes\n")
    assert refused.err.count("\n") == 1
    assert await cluster.depth(BATCHER) == 0
