"""`wabus profile export`: all that is stored of a person, as JSON.

Owns the file it goes into; the reading is `shared.messaging.customers.export`'s.
"""

import os
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from shared.errors import WabusError
from shared.messaging.customers.export import PersonExport, export_person
from shared.tables import TABLES
from workers.cli.customer import phone_argument
from workers.cli.operation import read_settings, run_on_database


@click.command(epilog="\b\nExample:\n  wabus profile export +491700000001 --out ana.json")
@phone_argument
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it into this new file, which nobody but you may read (mode 600).",
)
def export(phone: str, out: Path | None) -> None:
    """Print all that is stored of a customer as one JSON object, or write it into a file.

    Their profile, addresses, consent and its proofs, conversations, messages, attempts, status events, places
    in campaigns, carts, orders, views, automatic messages, deferred messages, dead letters and recorded
    events: what an erasure would remove. Of a campaign's launch it has their own part alone; look through the
    dead letters before you hand it on, for a raw body may name others. Exits 1 where nothing is stored.
    """
    found = run_on_database(read_settings(), lambda database: export_person(database, phone, TABLES))
    if found.is_nothing:
        raise click.ClickException(f"{phone}: not found")
    text = _encode(found)
    if out is None:
        click.echo(text)
        return
    _write_privately(out, text + b"\n")
    click.echo(f"{out}: {sum(map(len, found.rows.values())) + len(found.launches)} rows of {phone}")


def _encode(found: PersonExport) -> bytes:
    return orjson.dumps(asdict(found), default=str, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2)


def _write_privately(out: Path, text: bytes) -> None:
    """Into a file that is new, so that nobody has it open."""
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except OSError as error:
        raise WabusError(f"{out}: {error.strerror}") from error
