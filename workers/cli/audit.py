"""`wabus audit`: who did what, when, to what.

Owns the showing; the log is `shared.postgres.audit`'s.
"""

from dataclasses import asdict
from typing import Any, Final

import click

from shared.messaging.customers.addresses import audit_subjects
from shared.postgres.audit import AuditExcerpt, read_audit
from shared.postgres.database import Database
from workers.cli.ages import Since, SinceParam
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_json, print_table, tell_shown

_EPILOG: Final = """\b
Example:
  wabus audit --since 2d --actor ana
  wabus audit --subject +491700000001 --json"""


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

    async def read(database: Database) -> AuditExcerpt:
        return await read_audit(
            database,
            since=since.at if since else None,
            younger_than_s=since.age_s if since else None,
            actor=actor,
            subjects=None if subject is None else audit_subjects(subject),
            limit=None if everything else limit,
        )

    found = run_on_database(read_settings(), read)
    if as_json:
        print_json({"total": found.total, "lines": [asdict(line) for line in found.lines]})
        return
    if not found.lines:
        click.echo("Nothing was done that matches.")
        return
    cells = [
        [line.at, line.actor, line.action, line.subject, _describe(line.details)] for line in found.lines
    ]
    print_table("", ("at", "by", "action", "subject", "details"), cells, prose=("details",))
    tell_shown(len(found.lines), found.total, "lines")


def _describe(details: Any) -> str:
    """`reason: spam, changed: True`; what is empty is left out."""
    if not isinstance(details, dict):
        return ""
    return ", ".join(f"{name}: {value}" for name, value in details.items() if value not in (None, "", {}))
