"""`wabus profile export` as a program on a real database: all of a person, and nothing of anybody else."""

import json
import stat
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.people import Person, add_person
from tests.support.program import run_wabus
from tests.support.rows import Connection, add_campaign, insert

PHONE: Final = "491700000001"
ANA: Final = Person(PHONE, "DE.abc1", "ana")
#: The ids of a neighbour contain Ana's.
BEN: Final = Person(f"{PHONE}1", "DE.abc12", "ben")


@pytest.fixture
def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


async def test_an_export_has_every_row_that_an_erasure_removes_and_none_of_a_neighbour(
    conn: Connection, environ: dict[str, str]
) -> None:
    campaign = await add_campaign(conn)
    await add_person(conn, BEN, campaign)
    await add_person(conn, ANA, campaign)

    exported = await run_wabus("profile", "export", ANA.user_id, environ=environ)
    erased = await run_wabus("profile", "erase", PHONE, "--dry-run", "--json", environ=environ)

    assert (exported.code, exported.err) == (0, "")
    told = exported.json
    assert {table: len(rows) for table, rows in told["rows"].items()} == erased.json["rows"]
    assert all(told["rows"].values())
    assert (told["customer"], sorted(told["addresses"])) == (PHONE, sorted([PHONE, ANA.user_id]))
    assert BEN.phone not in exported.out
    assert BEN.tag not in exported.out


async def test_an_export_gives_texts_whole_and_money_exact(conn: Connection, environ: dict[str, str]) -> None:
    order: dict[str, Any] = {"order_id": "7", "customer_phone": PHONE, "total": "19.9900", "currency": "EUR"}
    await insert(conn, "orders", shop_id="default", **order)
    raw = {"routing_key": f"reply.{PHONE}", "source_queue": "outbound-sender", "reason": "expired"}
    await insert(conn, "dead_letter_queue", raw_body='{"text": "Grüße"}'.encode(), **raw)
    await insert(conn, "dead_letter_queue", raw_body=b"\xff\xfe", **raw)

    rows = (await run_wabus("profile", "export", PHONE, environ=environ)).json["rows"]

    assert [(row["total"], row["currency"]) for row in rows["orders"]] == [("19.9900", "EUR")]
    bodies = [row["raw_body"] for row in rows["dead_letter_queue"]]
    assert bodies == ['{"text": "Grüße"}', {"base64": "//4="}]


async def test_of_a_launch_an_export_has_the_persons_own_part_alone(
    conn: Connection, environ: dict[str, str]
) -> None:
    recipients = [{"wa_id": f"+{PHONE}", "variables": {"name": "Ana"}}, {"wa_id": BEN.phone}]
    launch = json.dumps({"campaign_id": "spring", "recipients": recipients})
    letter = await insert(
        conn,
        "dead_letter_queue",
        source_queue="broadcast-batcher",
        reason="database_error",
        payload=launch,
        raw_body=launch.encode(),
    )
    await insert(
        conn,
        "outbox_events",
        aggregate_id=str(letter),
        event_type="deadletter.stored",
        payload=json.dumps({"original_payload": json.loads(launch)}),
    )

    exported = await run_wabus("profile", "export", PHONE, environ=environ)

    assert [(item["campaign_id"], item["recipients"]) for item in exported.json["launches"]] == [
        ("spring", recipients[:1])
    ]
    assert exported.json["rows"]["dead_letter_queue"] == exported.json["rows"]["outbox_events"] == []
    assert BEN.phone not in exported.out


async def test_an_export_goes_into_a_new_file_that_nobody_else_may_read(
    conn: Connection, environ: dict[str, str], tmp_path: Path
) -> None:
    await insert(conn, "customer_profiles", phone=PHONE, name="Ana")
    file = tmp_path / "ana.json"

    written = await run_wabus("profile", "export", PHONE, "--out", str(file), environ=environ)
    again = await run_wabus("profile", "export", PHONE, "--out", str(file), environ=environ)

    assert (written.code, written.out) == (0, f"{file}: 1 rows of {PHONE}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_bytes())["rows"]["customer_profiles"][0]["name"] == "Ana"
    assert (again.code, again.err) == (1, f"wabus: {file}: File exists\n")


async def test_of_an_unknown_customer_there_is_nothing_to_export(
    conn: Connection, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "nobody.json"

    outcome = await run_wabus("profile", "export", PHONE, "--out", str(file), environ=environ)

    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"wabus: {PHONE}: not found\n")
    assert not file.exists()
