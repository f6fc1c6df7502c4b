"""The processes of a run: the sandbox, and every worker as often as the schedule says.

Owns command lines and environments. A worker reaches each server through the proxy before it; the sandbox,
which stands for the platform and its gateway, publishes its statuses directly.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.demo.processes import Program
from deploy.demo.programs import SANDBOX
from tests.faults.injections.numbers import NUMBER, NUMBER_MPS
from tests.faults.place import ServerName
from tests.faults.schedule import Schedule
from tests.support.brokers import CLIENT_VARIABLE
from tests.support.crashing import CrashPoint
from tests.support.paces import SHIPPED
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from workers.registry import WORKER_NAMES

#: As the demo's: a business number that may send 500 messages a second.
_NUMBER_MPS: Final = 500
_LATENCY_MS: Final = 20
_WABUS: Final = (sys.executable, "-m", "workers")


def make_programs(
    servers: Servers,
    proxies: Mapping[ServerName, Proxy],
    sandbox_url: str,
    logs: Path,
    schedule: Schedule,
    pace: str,
    code: Mapping[str, str],
    workers: Sequence[str] = WORKER_NAMES,
) -> list[Program]:
    """The programs: `sandbox` and `<worker>.<n>`, n from 1.

    `pace`: of `tests.support.paces`. `code`: variables by which workers run another tree than this one.
    """
    logs.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    direct = kept | CLIENT_VARIABLE | {"RABBITMQ_URL": servers.rabbitmq_url, "WHATSAPP_ACCESS_TOKEN": token}
    numbers = logs.parent / "numbers.json"
    numbers.write_text(json.dumps({NUMBER: {"mps": NUMBER_MPS}}))
    proxied = direct | {
        "RABBITMQ_URL": proxies["rabbitmq"].url(servers.rabbitmq_url),
        "DATABASE_URL": proxies["postgres"].url(servers.database_url),
        "REDIS_URL": proxies["redis"].url(servers.redis_url),
        "WHATSAPP_API_URL": proxies["cloud_api"].url(sandbox_url),
        "WHATSAPP_NUMBER_MPS": str(_NUMBER_MPS),
        "WHATSAPP_NUMBERS_FILE": str(numbers),
        "METRICS_PORT": "0",
        "LOG_FORMAT": "json",
    }
    return [
        _sandbox(direct, sandbox_url, logs, schedule.seed),
        *(
            Program(
                f"{name}.{n}",
                make_argv(name, pace),
                {**proxied, **code},
                logs / f"{name}.{n}.log",
                "/health/ready",
            )
            for name in workers
            for n in range(1, schedule.replicas + 1)
        ),
    ]


def make_argv(worker: str, pace: str, crash: CrashPoint | None = None) -> Sequence[str]:
    """The command line of a worker: an operator's where nothing is asked that only tests ask for."""
    if pace == SHIPPED and crash is None:
        return (*_WABUS, "worker", worker)
    options = [] if crash is None else crash.options()
    return (sys.executable, "-m", "tests.support.crashing", worker, "--pace", pace, *options)


def _sandbox(env: Mapping[str, str], url: str, logs: Path, seed: int) -> Program:
    port = url.rpartition(":")[2]
    options = ("--port", port, "--statuses", "amqp", "--latency-ms", str(_LATENCY_MS), "--seed", str(seed))
    return Program(SANDBOX, (*_WABUS, "sandbox", *options), env, logs / "sandbox.log", "/_sandbox/stats", url)
