"""`wabus demo`: the whole cluster on this machine, a day of traffic in a minute, and a verdict.

Owns options and output; the work is `deploy.demo`'s.
"""

import os
import random
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from deploy.commands.stack import default_root
from deploy.commands.watching import describe_watching, reach
from deploy.demo import running
from deploy.demo.day import Day
from deploy.demo.judging import NotJudgedError
from deploy.demo.progress import open_progress
from deploy.demo.report import DemoResult, print_report
from deploy.demo.state import DemoState, env_of, logs_of, settings_of
from deploy.demo.watching import config_of
from shared.errors import StackError
from workers.cli.printing import open_console, print_json

_EPILOG = """\b
Example:
  wabus demo
  wabus demo --seed 7 --json
  wabus demo --up      (leaves everything running; `wabus demo --down` ends it)"""

#: 2 is a user's mistake.
_EXIT_CODES: Final = {DemoResult.KEPT: 0, DemoResult.BROKEN: 1, DemoResult.NOT_JUDGED: 3}
#: As a shell has it of a program that SIGINT ended.
_INTERRUPTED: Final = 130

#: A gateway's publish, for people with nothing but curl.
_PUBLISH: Final = """\
curl -s "$RABBITMQ_MANAGEMENT_URL/api/exchanges/%2F/wa.inbound/publish" -d '{
    "routing_key": "491700000001", "properties": {}, "payload_encoding": "string",
    "payload": "{\\"wamid\\": \\"w1\\", \\"wa_id\\": \\"491700000001\\", \\"timestamp\\": 1760000000}"}'"""


@click.command(epilog=_EPILOG)
@click.option("--up", is_flag=True, help="Start servers, sandbox and workers, and leave them running.")
@click.option("--down", is_flag=True, help="End what --up started, and remove its data.")
@click.option("--seed", type=click.IntRange(0), help="Play the same customers and messages again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def demo(up: bool, down: bool, seed: int | None, as_json: bool) -> None:
    """Play a day of a contact centre in a minute, on the whole cluster, and judge what became of it.

    Starts a private RabbitMQ, PostgreSQL and Redis, the simulated Cloud API and every worker as a process of
    its own; as many customers write as this machine carries, at most 2,000, agents answer, a campaign runs,
    poison arrives, workers are killed. Then holds everything against what is promised, prints the result, and
    leaves nothing running. Exits 1 if a promise was broken, 3 if the demo could not play or judge it.
    """
    if up and down:
        raise click.UsageError("--up and --down exclude each other")
    root = default_root()
    try:
        if up:
            _bring_up(root, as_json=as_json)
        elif down:
            with open_progress(_error_console()) as progress:
                running.bring_down(root, progress)
            if as_json:
                print_json({"state": "down"})
        else:
            day = Day(seed=random.randrange(1_000_000) if seed is None else seed)  # noqa: S311 - not secret
            sys.exit(play(root, day, as_json=as_json))
    except KeyboardInterrupt:
        click.echo("wabus: interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except StackError as error:
        if up or down:
            raise click.ClickException(str(error)) from error
        click.echo(f"could not play: {error}", err=True)
        sys.exit(_EXIT_CODES[DemoResult.NOT_JUDGED])


def play(root: Path, day: Day, *, as_json: bool) -> int:
    """Play a day below `root`; prints the report, gives the exit code."""
    console = open_console()
    try:
        with open_progress(_error_console() if as_json else console) as progress:
            report = running.play(root, os.environ, day, progress)
    except NotJudgedError as error:
        if as_json:
            print_json({"result": DemoResult.NOT_JUDGED.value, "seed": day.seed, "doubts": [str(error)]})
        click.echo(f"could not judge: {error}", err=True)
        return _EXIT_CODES[DemoResult.NOT_JUDGED]
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report, console)
    return _EXIT_CODES[report.result]


def _error_console() -> Console:
    """Progress beside a result that programs read; lines are not folded where nobody looks."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else 240)


def _bring_up(root: Path, *, as_json: bool) -> None:
    with open_progress(_error_console()) as progress:
        state = running.bring_up(root, os.environ, progress)
    if as_json:
        files = {"env_file": str(env_of(root)), "prometheus_config": str(config_of(root))}
        print_json({"state": "up", "urls": dict(state.urls), **files})
    else:
        _explain(root, state)


def _explain(root: Path, state: DemoState) -> None:
    """How to reach what runs, and what to try next."""
    for name, url in state.urls.items():
        path = "/_sandbox/stats" if name == "sandbox" else "/metrics"
        click.echo(f"{name:<18} {url}{path}")
    click.echo()
    for line in describe_watching(root):
        click.echo(line)
    click.echo(
        f"\nlogs               {logs_of(root)}\n"
        f"settings           {env_of(root)} and {settings_of(root)}\n\n"
        "Try next:"
    )
    for command in next_steps(root, sys.argv[0]):
        click.echo(f"  {command}")


def next_steps(root: Path, program: str) -> list[str]:
    """Commands to try that work as they are, in this shell and directory. `program`: how we were called."""
    if Path(program).name == "wabus":
        wabus = "wabus" if shutil.which("wabus") == program else reach(Path(program))
    else:
        wabus = f"{shlex.quote(sys.executable)} -m workers"
    return [
        f"set -a; . {reach(env_of(root))}; . {reach(settings_of(root))}; set +a",
        f"{wabus} doctor",
        _PUBLISH,
        f"{wabus} message show 491700000001",
        f"{wabus} demo --down",
    ]
