"""What it takes to watch a local stack: a configuration for Prometheus, and where RabbitMQ shows its page.

Owns `.stack/prometheus.yml`, which goes with the stack. Starts no Prometheus. Its jobs are those of
`deploy/prometheus/prometheus.yml`, as the rules beside that name them.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.demo.state import read_state
from deploy.stack.records import STACK_DIR, Kind, ServerRecord, load
from workers.registry import WORKER_NAMES

_DEPLOY: Final = Path(__file__).resolve().parents[1]
_RULES: Final = (_DEPLOY / "prometheus" / "alerts.yml", _DEPLOY / "prometheus" / "slo.yml")
DASHBOARDS: Final = _DEPLOY / "grafana" / "dashboards"


def config_of(root: Path) -> Path:
    """Where the configuration for Prometheus is."""
    return root / STACK_DIR / "prometheus.yml"


def write_config(root: Path) -> None:
    """Write it anew, for the servers and the workers that run here now. To be called once they do."""
    demo = read_state(root)
    urls = demo.urls if demo is not None and demo.is_kept else {}
    workers = {name: urlsplit(urls[name]).netloc for name in WORKER_NAMES if name in urls}
    config_of(root).write_text(_configure(workers, _rabbitmq(root)))


def rabbitmq_page(root: Path) -> str | None:
    """Where RabbitMQ's management is, with the login of a server that is the stack's; None where unknown."""
    server = _rabbitmq(root)
    if server is None or server.management_url is None:
        return None
    page = urlsplit(server.management_url)
    login = f", login {page.username}, password {page.password}" if server.is_ours else ""
    return f"{page.scheme}://{page.hostname}:{page.port}{login}"


def _rabbitmq(root: Path) -> ServerRecord | None:
    return load(root.resolve(), fresh_password="").servers.get(Kind.RABBITMQ)


def _configure(workers: Mapping[str, str], rabbitmq: ServerRecord | None) -> str:
    """A RabbitMQ that the environment names is left out: where it shows metrics is not known."""
    broker = (
        [] if rabbitmq is None or rabbitmq.metrics is None else [f"targets: [{_quote(rabbitmq.metrics)}]"]
    )
    scraped = [
        f"{{targets: [{_quote(address)}], labels: {{service: {name}}}}}" for name, address in workers.items()
    ]
    return f"""\
# What runs here now; written by `wabus demo --up` and `wabus stack up`, gone with the stack.
global:
  scrape_interval: 5s
  evaluation_interval: 5s

rule_files:{_list(_quote(str(path)) for path in _RULES)}

scrape_configs:
  - job_name: wabus
    static_configs:{_list(scraped, 6)}

  - job_name: rabbitmq
    static_configs:{_list(broker, 6)}

  # per queue: who consumes it, and how much waits in it
  - job_name: rabbitmq-queues
    metrics_path: /metrics/detailed
    params:
      family: [queue_coarse_metrics, queue_consumer_count]
    static_configs:{_list(broker, 6)}
"""


def _list(items: Iterable[str], indent: int = 2) -> str:
    lines = [f"\n{' ' * indent}- {item}" for item in items]
    return "".join(lines) or " []"


def _quote(text: str) -> str:
    """JSON's strings are YAML's, too."""
    return json.dumps(text)
