"""`wabus audit`: who did what, when, to what.

Owns the reading of `audit_log`; each command writes its own line there, with what it changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import asyncpg
import click

from shared.messaging.customers.addresses import audit_subject, read_address
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from workers.cli.ages import Since, SinceParam
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_json, print_table, tell_shown

_QUERIES: Final = Queries("workers.cli", "audit.sql")
_EPILOG: Final = """\b
Example:
  wabus audit --since 2d --actor ana
  wabus audit --subject +491700000001 --json"""


@dataclass(frozen=True, slots=True)
class _Excerpt:
    """Lines of the log, oldest first, and how many match."""

    lines: Sequence[asyncpg.Record]
    total: int


@click.command(epilog=_EPILOG)
@click.option("--since", type=SinceParam(), help="An age (15m, 2h, 3d), or a time (ISO 8601, UTC).")
@click.option("--actor", metavar="WHO", help="Only what this user did.")
@click.option(
    "--subject", metavar="NAME", help="Only what was done to this campaign, number, dead letter or customer."
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@json_option
def audit(
    since: Since | None, actor: str | None, subject: str | None, limit: int, everything: bool, as_json: bool
) -> None:
    """List who did what: every command that changes something writes a line.

    A customer stands there under a hash, so that an erasure leaves no number; --subject takes the number.
    """
    subjects = None if subject is None else _spellings(subject)

    async def read(database: Database) -> _Excerpt:
        at = since.at if since else None
        age = timedelta(seconds=since.age_s) if since and since.age_s is not None else None
        rows = await database.fetch(_QUERIES["list"], at, age, actor, subjects, None if everything else limit)
        return _Excerpt(rows, rows[0]["total"] if rows else 0)

    found = run_on_database(read_settings(), read)
    if as_json:
        lines = [{name: value for name, value in row.items() if name != "total"} for row in found.lines]
        print_json({"total": found.total, "lines": lines})
        return
    if not found.lines:
        click.echo("Nothing was done that matches.")
        return
    cells = [
        [row["at"], row["actor"], row["action"], row["subject"], _describe(row["details"])]
        for row in found.lines
    ]
    print_table("", ("at", "by", "action", "subject", "details"), cells, prose=("details",))
    tell_shown(len(found.lines), found.total, "lines")


def _spellings(subject: str) -> list[str]:
    """Under which names it may stand: as it is, and hashed where it may be a customer."""
    address = read_address(subject)
    return [subject] if address is None else [subject, audit_subject(address)]


def _describe(details: Any) -> str:
    """`reason: spam, changed: True`; what is empty is left out."""
    if not isinstance(details, dict):
        return ""
    return ", ".join(f"{name}: {value}" for name, value in details.items() if value not in (None, "", {}))
