"""`wabus notice`, `wabus why` and `wabus shop check` as programs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.notices import ANA
from tests.support.program import Outcome, run_wabus
from tests.support.rows import Connection, insert

BEN = "491700000002"
NOW = datetime.now(UTC)
UNTIL = NOW + timedelta(hours=9)
POSTPONED = [
    {"at": NOW.isoformat(), "decided": "postpone", "rule": "quiet_hours", "until": UNTIL.isoformat()}
]
SHOP = {
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "phone_number_id": "1001",
    "cart": {"reminders": ["4h", "1d"], "expires": "72h"},
    "messages": {"cart_reminder_1": {"en": {"text": "Hi {{name}}"}}},
}


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url}


async def run(environ: dict[str, str], *arguments: str) -> Outcome:
    return await run_wabus(*arguments, environ=environ)


async def add_notice(conn: Connection, **values: object) -> UUID:
    row: dict[str, object] = {
        "shop_id": "default",
        "kind": "cart",
        "notification_type": "cart_reminder_1",
        "dedupe_key": f"request:{uuid4()}",
        "customer_phone": ANA,
        "category": "marketing",
        "not_before": NOW,
    }
    notice: UUID = await insert(conn, "notification_log", **(row | values))
    return notice


async def test_why_tells_each_notice_of_a_person_and_the_rule_that_decided(
    conn: Connection, environ: dict[str, str]
) -> None:
    capped = {"status": "skipped", "skip_reason": "frequency_cap", "not_before": None}
    await add_notice(conn, created_at=NOW - timedelta(days=91), **capped)
    await add_notice(conn, created_at=NOW - timedelta(days=2), **capped)
    await add_notice(conn, created_at=NOW - timedelta(hours=1), not_before=UNTIL, trace=json.dumps(POSTPONED))
    await add_notice(conn, customer_phone=BEN)

    people, programs = await run(environ, "why", "+49 170 0000001"), await run(environ, "why", ANA, "--json")

    assert people.code == 0
    assert "as many as the shop allows" in people.out
    assert f"quiet hours: decided anew at {UNTIL:%Y-%m-%d %H:%M:%S}Z" in people.out
    told = programs.json["notices"]
    assert [(item["status"], item["reason"], item["rule"]) for item in told] == [
        ("skipped", "frequency_cap", None),
        ("pending", None, "quiet_hours"),
    ]


async def test_why_of_somebody_without_notices_says_so(environ: dict[str, str]) -> None:
    outcome = await run(environ, "why", ANA)

    assert (outcome.code, outcome.out) == (0, f"{ANA}: no automatic message in 90 days\n")


async def test_notices_are_listed_by_status_type_and_person(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_notice(conn, status="skipped", skip_reason="opted_out", not_before=None)
    await add_notice(conn, notification_type="shipped")
    await add_notice(conn, customer_phone=BEN)

    everything = await run(environ, "notice", "list")
    found = await run(environ, "notice", "list", "--status", "skipped", "--type", "cart_reminder_1", "--json")
    theirs = await run(environ, "notice", "list", "--customer", f"+{BEN}", "--json")

    assert everything.out.count("cart_reminder_1") == 2
    assert [item["skip_reason"] for item in found.json["notices"]] == ["opted_out"]
    assert [item["customer"] for item in theirs.json["notices"]] == [BEN]


async def test_a_notice_is_shown_with_its_decisions(conn: Connection, environ: dict[str, str]) -> None:
    notice = await add_notice(
        conn, trace=json.dumps(POSTPONED), variables=json.dumps({"total": "12.90"}), order_id="17"
    )

    people = await run(environ, "notice", "show", str(notice))
    programs = await run(environ, "notice", "show", str(notice), "--json")
    missing = await run(environ, "notice", "show", str(uuid4()))

    assert "it would have come in the quiet hours" in people.out
    assert "12.90" in people.out
    assert (programs.json["order_id"], programs.json["trace"]) == ("17", POSTPONED)
    assert (missing.code, "not found" in missing.err) == (1, True)


async def test_a_shops_file_is_shown_with_what_will_never_be_sent(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "shops.json"
    path.write_text(json.dumps({"berlin": SHOP}))

    people = await run({"SHOPS_FILE": str(path)}, "shop", "check")
    programs = await run({"SHOPS_FILE": str(path)}, "shop", "check", "--json")

    assert people.code == 0
    assert "quiet hours    22:00-08:00" in people.out
    told = programs.json["shops"]["berlin"]
    assert (told["reminders"], told["carts expire"], told["marketing"]) == ("4h, 1d", "3d", "2/1d, 10/30d")
    assert "cart_reminder_2: no message, so it is never sent" in told["gaps"]
    assert "cart_reminder_1 en: no template, so who has not written for a day gets none" in told["gaps"]
    assert not [gap for gap in told["gaps"] if gap.startswith("cart_reminder_3")]


@pytest.mark.parametrize(
    ("environ_of_shop", "told"),
    [
        ({}, "SHOPS_FILE: not set"),
        ({"SHOPS_FILE": "missing.json"}, "SHOPS_FILE: must name a readable file"),
    ],
)
async def test_without_a_readable_file_the_check_ends_with_two(
    environ_of_shop: dict[str, str], told: str
) -> None:
    outcome = await run(environ_of_shop, "shop", "check")

    assert outcome.code == 2
    assert outcome.err.startswith(f"wabus: {told}")
    assert outcome.err.count("\n") == 1
