"""Where a fault strikes: the servers, the proxies before them, and the processes of one run.

Owns names and addresses only. Who starts and ends what is here is `tests.faults.rig`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.demo.processes import Fleet
from deploy.demo.record import Record
from tests.support.paces import SHIPPED
from tests.support.proxy import Proxy
from tests.support.servers import Servers

ServerName = Literal["rabbitmq", "postgres", "redis", "cloud_api"]


@dataclass(frozen=True, slots=True)
class Place:
    """One run's cluster. Workers reach each server through its proxy; the rig itself goes there directly.

    `servers`: direct URLs. `stack_root`: root of the private stack that they are of (`deploy.stack`).
    `sandbox_url`: the Cloud API, direct (`/_sandbox/settings`). `workers`: every process by name, `sandbox`
    and `<worker>.<n>` from 1, each started again a second after its end. `record`: what was offered; a fault
    that publishes messages of its own notes them there, for the judge. `pace`: of `tests.support.paces`.
    `unserved`: queues of workers that do not run here, where what comes waits.
    """

    servers: Servers
    stack_root: Path
    proxies: Mapping[ServerName, Proxy]
    sandbox_url: str
    workers: Fleet
    record: Record = field(default_factory=Record)
    pace: str = SHIPPED
    unserved: frozenset[str] = frozenset()

    @property
    def is_single(self) -> bool:
        """Whether each worker has one replica only."""
        return not any(name.endswith(".2") for name in self.workers.keepers)

    def replicas(self, worker: str) -> list[str]:
        """Names of the processes of one worker."""
        return [name for name in self.workers.keepers if name.rpartition(".")[0] == worker]
