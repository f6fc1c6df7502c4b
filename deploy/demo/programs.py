"""Which processes a demo consists of, and what each is told: the sandbox and all six workers.

Owns command lines and environments. Nothing of the caller's environment reaches them but where programs are.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.demo.processes import Program
from deploy.stack import ports
from workers.registry import WORKER_NAMES

SANDBOX: Final = "sandbox"
#: A business number after its automatic upgrade may send 1,000 a second; new ones 80.
_NUMBER_MPS: Final = 500
_LATENCY_MS: Final = 20
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


def make_programs(
    urls: Mapping[str, str], environ: Mapping[str, str], logs: Path, seed: int
) -> list[Program]:
    """The programs; `urls` name the servers. Each call chooses another token and another port."""
    logs.mkdir(parents=True, exist_ok=True)
    (port,) = ports.choose(1)
    url = f"http://127.0.0.1:{port}"
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
    wabus = (sys.executable, "-m", "workers")
    options = (
        "--port",
        str(port),
        "--statuses",
        "amqp",
        "--latency-ms",
        str(_LATENCY_MS),
        "--seed",
        str(seed),
    )
    sandbox = Program(
        SANDBOX, (*wabus, "sandbox", *options), env, logs / "sandbox.log", "/_sandbox/stats", url
    )
    return [
        sandbox,
        *(
            Program(name, (*wabus, "worker", name), env, logs / f"{name}.log", "/health/ready")
            for name in WORKER_NAMES
        ),
    ]
