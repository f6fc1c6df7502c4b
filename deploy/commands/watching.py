"""How to watch what runs in a local stack: the lines that `wabus demo --up` and `wabus stack up` end with."""

import shlex
from pathlib import Path

from deploy.demo.watching import DASHBOARDS, config_of, rabbitmq_page


def describe_watching(root: Path) -> list[str]:
    """RabbitMQ's page, the Prometheus to start, and what to do in Grafana: lines for people."""
    config, dashboards = reach(config_of(root)), reach(DASHBOARDS)
    page = rabbitmq_page(root)
    return [
        *([] if page is None else [f"RabbitMQ           {page}"]),
        f'Prometheus         prometheus --config.file={config} --storage.tsdb.path="$(mktemp -d)"',
        "Grafana            add the data source Prometheus, http://127.0.0.1:9090; then import each file",
        f"                   of {dashboards} (Dashboards, New, Import)",
    ]


def reach(path: Path) -> str:
    """A path as a shell takes it here: short below the working directory, and never looked up in PATH."""
    here = Path.cwd()
    below = path.absolute().is_relative_to(here)
    return shlex.quote(f"./{path.absolute().relative_to(here)}" if below else str(path.absolute()))
