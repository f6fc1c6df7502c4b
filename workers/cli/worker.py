"""`wabus worker NAME`: run one kind of worker, or all of them in one process."""

import os
import sys

import click
import uvloop

from schema.migrator import latest_version
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings, tell_unknown
from workers.registry import ALL, METRICS_PORTS, WORKER_NAMES, load_worker

_HELP = f"""Run the worker NAME until SIGTERM or SIGINT drains it; a second signal exits at once.

NAME is {", ".join(WORKER_NAMES[:-1])} or {WORKER_NAMES[-1]}; `{ALL}` runs every worker in one process, for
development. Settings come from the environment.

\b
Example:
  set -a; . .stack/env; wabus worker {WORKER_NAMES[0]}
"""


@click.command(help=_HELP)
@click.argument("name", type=click.Choice([*WORKER_NAMES, ALL]), metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Log one JSON object a line, on a terminal too.")
def worker(name: str, as_json: bool) -> None:
    settings = Settings.from_env(os.environ | {"LOG_FORMAT": "json"} if as_json else os.environ)
    unknown = tell_unknown(os.environ)
    specs = [load_worker(each) for each in (WORKER_NAMES if name == ALL else (name,))]
    port, schema = METRICS_PORTS[name], latest_version()

    async def start() -> int:
        return await WorkerProcess(name, specs, settings, schema, metrics_port=port).run_program(unknown)

    sys.exit(uvloop.run(start()))
