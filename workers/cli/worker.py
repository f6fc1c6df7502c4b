"""`wabus worker NAME`: run one kind of worker, or all of them in one process."""

import os
import sys

import click
import uvloop

from schema.migrator import latest_version
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings, tell_unknown
from workers.registry import WORKER_NAMES, load_worker


@click.command()
@click.argument("name", type=click.Choice([*WORKER_NAMES, "all"]), metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Log one JSON object a line, on a terminal too.")
def worker(name: str, as_json: bool) -> None:
    """Run the worker NAME until SIGTERM or SIGINT drains it; a second signal exits at once.

    NAME is inbound-resolver, outbound-sender, status-updater, broadcast-batcher, dlq-handler or scheduler;
    `all` runs every worker in one process, for development. Settings come from the environment.

    \b
    Example:
      set -a; . .stack/env; wabus worker inbound-resolver
    """
    settings = Settings.from_env(os.environ | {"LOG_FORMAT": "json"} if as_json else os.environ)
    unknown = tell_unknown(os.environ)
    specs = [load_worker(each) for each in (WORKER_NAMES if name == "all" else (name,))]

    async def start() -> int:
        return await WorkerProcess(name, specs, settings, latest_version()).run_program(unknown)

    sys.exit(uvloop.run(start()))
