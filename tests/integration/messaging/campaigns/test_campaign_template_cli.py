"""`wabus campaign launch --template-file`, and `status --watch`, as programs on a real database."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.program import Outcome, run_wabus
from tests.support.rows import Connection, add_campaign

#: As the Graph API returns it: a header with a picture, two positions, a link that ends in a value.
DEFINITION: dict[str, Any] = {
    "name": "welcome",
    "language": "en",
    "status": "APPROVED",
    "category": "MARKETING",
    "components": [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Hello {{1}} of {{2}}"},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"}]},
    ],
}
LIST = f"""wa_id,name,city,order
+491700000001,Ana,Ulm,a1
+491700000002,Ben,"New\tYork     City",b2
+491700000003,,Bonn,c3
+491700000004,{"x" * 1100},Bonn,d4
"""
FITTING = ("--params", "name,city", "--header", "image=https://x.example/a.png", "--button", "0=order")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "template.json").write_text(json.dumps({"data": [DEFINITION]}))
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


async def rehearse(folder: Path, database_url: str, *arguments: str) -> Outcome:
    return await run_wabus(
        *("campaign", "launch", str(folder / "list.csv"), "--id", "spring", "--dry-run"),
        *("--template", "welcome", "--language", "en", "--template-file", str(folder / "template.json")),
        *arguments,
        environ={"DATABASE_URL": database_url, "WHATSAPP_PHONE_NUMBER_ID": "1001"},
    )


async def test_a_dry_run_checks_every_line_against_the_definition(
    folder: Path, conn: Connection, database_url: str
) -> None:
    people = await rehearse(folder, database_url, *FITTING)
    program = await rehearse(folder, database_url, *FITTING, "--json")

    assert (people.code, program.code) == (0, 0)
    assert program.json["recipients"] == 4
    assert [fault["line"] for fault in program.json["faults"]] == [4, 5]
    assert program.json["flattened"] == 1
    assert "line 4: " in people.out
    assert "line 5: the body has " in people.out
    assert "1 values with line breaks, tabs or many blanks" in people.out
    assert await conn.fetchval("select count(*) from broadcast_campaigns") == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--params", "name", *FITTING[2:]), "the template takes 2 parameters, --params names 1"),
        (FITTING[:2] + FITTING[4:], "header: the template takes image, none is given"),
        (FITTING[:4], "button 0 takes a url value: give --button 0=COLUMN"),
        ((*FITTING[:4], "--button", "0=total"), "no column for total of the template"),
    ],
)
async def test_what_does_not_fit_the_definition_is_said_before_anything_is_stored(
    folder: Path, conn: Connection, database_url: str, arguments: tuple[str, ...], told: str
) -> None:
    outcome = await rehearse(folder, database_url, *arguments)

    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


async def test_a_definition_of_another_template_is_refused(folder: Path, database_url: str) -> None:
    (folder / "template.json").write_text(json.dumps(DEFINITION | {"name": "goodbye"}))

    outcome = await rehearse(folder, database_url, *FITTING)

    assert outcome.code == 1
    assert "no template welcome in language en" in outcome.err


async def watch(database_url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers", "campaign", "status", "spring", "--watch", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url},
    )


async def test_a_watch_shows_the_campaign_anew_until_it_is_over(conn: Connection, database_url: str) -> None:
    # Given a campaign that runs, and somebody who watches it
    await add_campaign(conn, id="spring", status="running")
    watching = await watch(database_url)
    assert watching.stdout is not None
    first = orjson.loads(await watching.stdout.readline())

    # When it ends
    await conn.execute("update broadcast_campaigns set status = 'done' where id = 'spring'")

    # Then the last that is shown is its end, and the watch is over
    rest = (await watching.stdout.read()).splitlines()

    assert await watching.wait() == 0
    assert first["campaigns"][0]["status"] == "running"
    assert orjson.loads(rest[-1])["campaigns"][0]["status"] == "done"


async def test_a_watch_is_ended_by_ctrl_c_without_a_word(conn: Connection, database_url: str) -> None:
    await add_campaign(conn, id="spring", status="running")
    watching = await watch(database_url)
    assert watching.stdout is not None
    await watching.stdout.readline()

    watching.send_signal(signal.SIGINT)

    _, err = await watching.communicate()

    assert (watching.returncode, err) == (0, b"")
