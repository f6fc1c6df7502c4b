"""`wabus migrate`: brings the database's schema forward or backward.

Owns options and output; the work is `schema.migrator`'s. Settings errors are left to the program (exit 2).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import click
import orjson
from rich.table import Table

from schema.migrator import MigrationError, Step, UnreachedDatabaseError, latest_version
from schema.migrator import migrate as carry_out
from shared.addresses import Unreached
from shared.postgres.connecting import Connector, PostgresConnection
from shared.settings.server_urls import read_server_url
from workers.cli.confirmation import demand_consent, yes_option
from workers.cli.operation import by_option, json_option, read_settings, unreached_database
from workers.cli.printing import open_console

_CONNECT_S = 10.0
_EPILOG = """\b
Example:
  wabus migrate --dry-run
  wabus migrate
  wabus migrate --to 0      (removes every table and all data; asks for the database's name)"""


@click.command(epilog=_EPILOG)
@click.option(
    "--to", type=click.IntRange(0), metavar="N", help="Version to reach; the latest, when left out."
)
@click.option("--dry-run", is_flag=True, help="Tell the steps, change nothing.")
@yes_option
@click.option("--force", is_flag=True, help="Backward even while workers are connected: they will fail.")
@by_option
@json_option
def migrate(to: int | None, dry_run: bool, yes: bool, force: bool, by: str, as_json: bool) -> None:
    """Migrate the database that MIGRATION_DATABASE_URL (else DATABASE_URL) names.

    Several may run at once: one does the work, the others find it done. Going backward drops what the newer
    version added, data included; 0 leaves nothing at all. It asks first, and is refused while workers are
    connected.
    """
    dsn = read_settings().migration_database_url.get_secret_value()
    try:
        steps = asyncio.run(carry_out(dsn, to=to, dry_run=True, force=force, connect=_connect))
        if not dry_run:
            _demand_consent(steps, dsn, yes=yes, as_json=as_json)
            steps = asyncio.run(carry_out(dsn, to=to, force=force, by=by, connect=_connect))
    except UnreachedDatabaseError as error:
        raise unreached_database(dsn, error) from error
    except MigrationError as error:
        raise click.ClickException(str(error)) from error
    version = latest_version() if to is None else to
    if as_json:
        told = {"version": version, "dry_run": dry_run, "steps": [asdict(step) for step in steps]}
        click.echo(orjson.dumps(told))
    else:
        _print_steps(steps, version, dry_run=dry_run)


async def _connect(dsn: str) -> PostgresConnection:
    """As workers connect: to whichever address answers and takes writes."""
    try:
        return await Connector(dsn, {}).open(_CONNECT_S)
    except Unreached as unreached:
        raise unreached.telling from None


def _demand_consent(steps: Sequence[Step], dsn: str, *, yes: bool, as_json: bool) -> None:
    if any(step.direction == "down" for step in steps):
        name = read_server_url(dsn).path[1:] or "postgres"
        deed = f"Database {name} would lose what {len(steps)} migrations made, its data too"
        demand_consent(deed, name, yes=yes, as_json=as_json)


def _print_steps(steps: Sequence[Step], version: int, *, dry_run: bool) -> None:
    if not steps:
        click.echo(f"The database is at version {version} already.")
        return
    table = Table("version", "migration", "direction")
    for step in steps:
        table.add_row(str(step.version), step.name, step.direction)
    open_console().print(table)
    click.echo(f"{'Would bring' if dry_run else 'Brought'} the database to version {version}.")
