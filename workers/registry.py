"""Every kind of worker in one line: its name, its port, its module and the queues that it consumes.

The name is that of the command line, of metrics and of logs. What else names workers (`docker-compose.yml`,
Prometheus' targets, the README's table) is held against this list by `tests/contract/test_registry.py`.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from shared.amqp.topology import (
    BROADCAST_BATCHER,
    DLQ_HANDLER,
    INBOUND_CORRELATION,
    INBOUND_RESOLVER,
    LANES,
    NOTIFIER,
    SHOP_UPDATER,
    SHOP_VIEWS,
    STATUS_UPDATER,
)

if TYPE_CHECKING:  # with it come all clients of servers, which whoever reads names or ports does not need
    from shared.running.kit import WorkerSpec


@dataclass(frozen=True, slots=True)
class Program:
    """One kind of worker. `metrics_port`: of `/metrics` and `/health`, unless METRICS_PORT names another."""

    name: str
    metrics_port: int
    module: str
    queues: tuple[str, ...] = ()


#: In the order of a message's way through them.
PROGRAMS: Final = (
    Program("inbound-resolver", 9101, "inbound_resolver.worker", (INBOUND_RESOLVER, INBOUND_CORRELATION)),
    Program("outbound-sender", 9102, "outbound_sender.worker", tuple(LANES)),
    Program("status-updater", 9103, "status_updater.worker", (STATUS_UPDATER,)),
    Program("broadcast-batcher", 9104, "broadcast_batcher.worker", (BROADCAST_BATCHER,)),
    Program("dlq-handler", 9105, "dlq_handler.worker", (DLQ_HANDLER,)),
    Program("scheduler", 9106, "scheduler.worker"),
    Program("shop-updater", 9108, "shop_updater.worker", (SHOP_UPDATER, SHOP_VIEWS)),
    Program("notifier", 9109, "notifier.worker", (NOTIFIER,)),
)
WORKER_NAMES: Final = tuple(program.name for program in PROGRAMS)
#: All of them in one process, for development.
ALL: Final = "all"
#: Where each process serves `/metrics` and `/health` unless METRICS_PORT names another port.
METRICS_PORTS: Final = {program.name: program.metrics_port for program in PROGRAMS} | {ALL: 9107}
_MODULES: Final = {program.name: program.module for program in PROGRAMS}


def load_worker(name: str) -> "WorkerSpec":
    """The spec of one kind; only its own modules are imported. Raises KeyError for a name that is none."""
    return cast("WorkerSpec", import_module(f"workers.{_MODULES[name]}").SPEC)
