"""Which processes a demo consists of, and what each is told: the sandbox and all workers.

Owns command lines, environments and ports, which are the same each time in one checkout. Nothing of the
caller's environment reaches them but where programs are.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.demo.processes import Program
from deploy.demo.state import logs_of
from deploy.stack import ports
from workers.registry import WORKER_NAMES

SANDBOX: Final = "sandbox"
#: A business number after its automatic upgrade may send 1,000 a second; new ones 80.
_NUMBER_MPS: Final = 500
_LATENCY_MS: Final = 20
_WABUS: Final = (sys.executable, "-m", "workers")
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


def wanted_ports(root: Path) -> dict[str, int]:
    """Where each program answers in this checkout, unless somebody else has its port."""
    names = (SANDBOX, *WORKER_NAMES)
    return dict(zip(names, ports.wanted(root.resolve(), "demo", len(names)), strict=True))


def make_programs(
    urls: Mapping[str, str], environ: Mapping[str, str], root: Path, seed: int
) -> list[Program]:
    """The programs; `urls` name the servers. Each call chooses another token, and the ports that are free."""
    logs = logs_of(root)
    logs.mkdir(parents=True, exist_ok=True)
    wanted = wanted_ports(root)
    port_of = dict(zip(wanted, ports.choose(len(wanted), tuple(wanted.values())), strict=True))
    url = f"http://127.0.0.1:{port_of[SANDBOX]}"
    env = {name: environ[name] for name in _KEPT if name in environ} | {
        "RABBITMQ_URL": urls["RABBITMQ_URL"],
        "DATABASE_URL": urls["DATABASE_URL"],
        "REDIS_URL": urls["REDIS_URL"],
        "WHATSAPP_API_URL": url,
        "WHATSAPP_ACCESS_TOKEN": secrets.token_hex(16),
        "WHATSAPP_NUMBER_MPS": str(_NUMBER_MPS),
        "METRICS_PORT": "0",
        "LOG_FORMAT": "json",
    }
    options = (
        "--port",
        str(port_of[SANDBOX]),
        "--statuses",
        "amqp",
        "--latency-ms",
        str(_LATENCY_MS),
        "--seed",
        str(seed),
    )
    sandbox = Program(
        SANDBOX, (*_WABUS, "sandbox", *options), env, logs / "sandbox.log", "/_sandbox/stats", url
    )
    return [sandbox, *(_worker(name, port_of[name], env, logs) for name in WORKER_NAMES)]


def _worker(name: str, port: int, env: Mapping[str, str], logs: Path) -> Program:
    argv = (*_WABUS, "worker", name)
    return Program(name, argv, {**env, "METRICS_PORT": str(port)}, logs / f"{name}.log", "/health/ready")
