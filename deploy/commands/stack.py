"""`wabus stack`: the local RabbitMQ, PostgreSQL and Redis of this checkout.

Owns options and output; the work is `deploy.stack`'s.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.table import Column, Table

from deploy import stack as servers
from deploy.commands.watching import describe_watching
from deploy.demo.watching import config_of, write_config
from deploy.stack import StackState, StatusRow
from shared.errors import StackError
from shared.masking import mask_url
from workers.cli.printing import open_console

_EPILOG = """\b
Example:
  wabus stack up
  set -a; . .stack/env; set +a
  wabus migrate && wabus topology declare
  wabus stack down"""


def default_root() -> Path:
    """The checkout this program runs from; the working directory where it is installed without one."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


_root = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=default_root,
    show_default="the checkout",
    help="Directory that holds .stack/; each has a stack of its own.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")


@click.group(epilog=_EPILOG)
def stack() -> None:
    """Start, stop and show a private RabbitMQ, PostgreSQL and Redis.

    Each server is the one that the environment names (RABBITMQ_URL, DATABASE_URL, REDIS_URL), else a Docker
    container where an engine answers, else the machine's own program on a free loopback port.
    """


@stack.command(epilog="\b\nExample:\n  wabus stack up && cat .stack/env")
@_root
@_json
def up(root: Path, as_json: bool) -> None:
    """Start what does not run yet, wait until it answers, write .stack/env and .stack/prometheus.yml.

    Safe to repeat. Missing packages are installed where this may be done without a password.
    """
    try:
        state = servers.up(root, os.environ, progress=_tell)
        write_config(root)
    except StackError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(orjson.dumps(_summary(state)))
    else:
        click.echo(f"URLs are in {state.env_file}")
        for line in describe_watching(root):
            click.echo(line)


@stack.command(epilog="\b\nExample:\n  wabus stack down")
@_root
@_json
def down(root: Path, as_json: bool) -> None:
    """Stop every server that `up` started, and remove their data.

    Servers that the environment named are left alone. Safe to repeat.
    """
    try:
        servers.down(root, progress=_tell)
    except StackError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(orjson.dumps({"state": "down"}))


@stack.command(epilog="\b\nExample:\n  wabus stack status --json")
@_root
@_json
def status(root: Path, as_json: bool) -> None:
    """Show each server, where it comes from, and whether it answers; exits 1 unless all three do."""
    rows = servers.status(root)
    if as_json:
        click.echo(orjson.dumps([asdict(row) for row in rows]))
    else:
        _print(rows)
    if any(row.state != "running" for row in rows):
        raise SystemExit(1)


def _tell(line: str) -> None:
    """Progress is for people, and stays out of what a program reads."""
    click.echo(line, err=True)


def _summary(state: StackState) -> dict[str, object]:
    servers_by_kind = {
        kind.value: {"source": server.source, "url": mask_url(server.url)}
        for kind, server in state.servers.items()
    }
    return {
        "env_file": str(state.env_file),
        "prometheus_config": str(config_of(state.root)),
        "servers": servers_by_kind,
    }


def _print(rows: Sequence[StatusRow]) -> None:
    table = Table("server", "state", "from", Column("url", overflow="fold"), "pid", "detail")
    for row in rows:
        pid = "" if row.pid is None else str(row.pid)
        table.add_row(row.server, row.state, row.source, row.url, pid, row.detail)
    open_console().print(table)
