"""`wabus notice list|show` and `wabus why`: automatic messages, and why a customer got one or not.

Owns the options; reading is `shared.commerce.notices.view`'s, the tables are `notice_view`'s.
"""

from dataclasses import asdict
from typing import Final
from uuid import UUID

import click

from shared.commerce.notices.view import explain_notices, find_notice, list_notices
from workers.cli.customer import CustomerParam, phone_argument
from workers.cli.notice_view import print_explained, print_notice, print_notices
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_json

_STATUSES: Final = ("pending", "queued", "sent", "delivered", "read", "failed", "skipped")


@click.group(epilog="\b\nExample:\n  wabus notice list --status skipped")
def notice() -> None:
    """Show automatic messages: those to come, those that were sent, and those that were not."""


@notice.command("list", epilog="\b\nExample:\n  wabus notice list --status skipped --limit 20")
@click.option("--status", type=click.Choice(_STATUSES), help="Only of this status.")
@click.option("--type", "kind", metavar="TYPE", help="Only of this type, such as cart_reminder_1.")
@click.option(
    "--customer",
    metavar="PHONE",
    type=CustomerParam(),
    help="Only to this person, under any of their addresses.",
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@json_option
def list_(status: str | None, kind: str | None, customer: str | None, limit: int, as_json: bool) -> None:
    """List automatic messages, the latest first."""
    notices = run_on_database(
        read_settings(),
        lambda database: list_notices(database, status=status, kind=kind, customer=customer, limit=limit),
    )
    if as_json:
        print_json({"notices": notices})
    else:
        print_notices(notices)


@notice.command(epilog="\b\nExample:\n  wabus notice show 0197a1b2-0000-7000-8000-000000000001")
@click.argument("notice_id", metavar="ID", type=click.UUID)
@json_option
def show(notice_id: UUID, as_json: bool) -> None:
    """Show one automatic message with the last five decisions over it. Exits 1 where there is none."""
    found = run_on_database(read_settings(), lambda database: find_notice(database, notice_id))
    if found is None:
        raise click.ClickException(f"{notice_id}: not found")
    if as_json:
        print_json(found)
    else:
        print_notice(found)


@click.command(epilog="\b\nExample:\n  wabus why +491700000001")
@phone_argument
@json_option
def why(phone: str, as_json: bool) -> None:
    """Tell of each automatic message to a customer in 90 days whether it was sent, and which rule said so.

    PHONE is a phone number in any notation, or a business-scoped id: any address of the person.
    """
    explained = run_on_database(read_settings(), lambda database: explain_notices(database, phone))
    if as_json:
        print_json({"notices": [asdict(item) for item in explained]})
    else:
        print_explained(phone, explained)
