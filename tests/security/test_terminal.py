"""What others wrote moves nothing on an operator's terminal and adds no line to a log."""

import json
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.masking import escape_controls
from shared.observability.logs import configure_logging, get_logger
from shared.settings.settings import Settings
from tests.support.cluster import Cluster
from tests.support.program import Outcome, run_wabus
from tests.support.rows import add_campaign, add_mapping, add_message, insert

#: A title, a cleared screen, C1 colours, reversed text, markup, a forged line, a bell.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe[red]x[/]\r\nERROR forged\u2028line\x7f"
CUSTOMER = "491700000001"

Run: TypeAlias = Callable[..., Awaitable[Outcome]]


def is_harmless(text: str) -> bool:
    return all(character.isprintable() for character in text.replace("\n", ""))


@pytest.fixture
async def run(cluster: Cluster) -> Run:
    """Runs a command on rows in which everything that others write is hostile."""
    conn = cluster.conn
    mapping = await add_mapping(
        conn,
        wa_id=CUSTOMER,
        user_id=f"u{HOSTILE}",
        phone_number_id=HOSTILE,
        contact_name=HOSTILE,
        conversation_id=HOSTILE,
        display_phone_number=HOSTILE,
    )
    message = await add_message(
        conn,
        mapping_id=mapping,
        wamid=f"wamid.{HOSTILE}",
        status="failed",
        error_code=HOSTILE,
        error_message=HOSTILE,
        message_type=HOSTILE,
        media_url=HOSTILE,
        client_message_id=HOSTILE,
    )
    await insert(
        conn, "send_attempts", message_id=message, attempt=1, outcome="failed", error_message=HOSTILE
    )
    await insert(
        conn,
        "dead_letter_queue",
        source_queue=HOSTILE,
        exchange=HOSTILE,
        routing_key=HOSTILE,
        reason="expired",
        error_message=HOSTILE,
        raw_body=HOSTILE.encode(),
        headers=json.dumps({HOSTILE: HOSTILE}),
        message_id=message,
        dedupe_key="one",
    )
    await insert(conn, "business_numbers", phone_number_id=HOSTILE, reason=HOSTILE, changed_by=HOSTILE)
    await insert(conn, "circuit_breakers", service=HOSTILE, state="open")
    await insert(conn, "customer_profiles", phone=CUSTOMER, name=HOSTILE)
    campaign = await add_campaign(conn, id=HOSTILE, name=HOSTILE, phone_number_id=HOSTILE)
    await insert(
        conn,
        "broadcast_recipients",
        campaign_id=campaign,
        wa_id=CUSTOMER,
        status="skipped",
        skip_reason=HOSTILE,
        error_code=HOSTILE,
    )

    async def run(*arguments: str) -> Outcome:
        return await run_wabus(*arguments, environ=cluster.environment())

    return run


async def test_commands_show_what_others_wrote_and_obey_none_of_it(
    run: Run, cluster: Cluster, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f'wa_id,"{HOSTILE}"\n"{HOSTILE}",x\n', newline="")
    letter = await cluster.conn.fetchval("select id from dead_letter_queue")
    launch = ("campaign", "launch", "--id", "x", "--text", "{{name}}", "--dry-run")
    for arguments in (
        ("dlq", "list"),
        ("dlq", "show", str(letter)),
        ("message", "show", CUSTOMER),
        ("number", "list"),
        ("number", "pause", HOSTILE),
        ("number", "pause", f"{HOSTILE}?"),
        ("campaign", "status"),
        ("campaign", "status", HOSTILE),
        ("profile", "show", CUSTOMER),
        ("profile", "erase", CUSTOMER, "--dry-run"),
        ("doctor",),
        ("top", "--once"),
        (*launch, str(path)),
        (*launch, f"/nowhere/{HOSTILE}"),
        (HOSTILE,),
    ):
        outcome = await run(*arguments)
        told = outcome.out + outcome.err
        assert "gnp.exe" in told, (arguments, told)
        assert is_harmless(told), (arguments, told)


ANYTHING: Any = st.text(st.characters(codec="utf-8"), max_size=60)


@given(ANYTHING, ANYTHING, st.sampled_from(["json", "console"]))
def test_a_log_line_is_one_harmless_line(message: str, wamid: str, form: str) -> None:
    stream = StringIO()
    configure_logging(Settings.from_env({"LOG_FORMAT": form}), "inbound-resolver", stream)
    get_logger("shared.tests").warning("%s", message, extra={"wabus": {"operation": "x", "wamid": wamid}})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert is_harmless(line)
    if form == "json" and len(message) < 10:
        assert json.loads(line)["level"] == "WARN"


@given(ANYTHING)
def test_escaping_leaves_what_is_harmless(text: str) -> None:
    escaped = escape_controls(text)
    assert is_harmless(escaped)
    assert "\n" not in escaped
    assert escaped == text or not text.isprintable()
