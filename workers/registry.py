"""Every kind of worker, by the name it has on the command line, in queues and in metrics."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from shared.running.kit import WorkerSpec

_MODULES: Final[Mapping[str, str]] = {
    "inbound-resolver": "workers.inbound_resolver.worker",
    "outbound-sender": "workers.outbound_sender.worker",
    "status-updater": "workers.status_updater.worker",
    "broadcast-batcher": "workers.broadcast_batcher.worker",
    "dlq-handler": "workers.dlq_handler.worker",
    "scheduler": "workers.scheduler.worker",
}
#: The names, in the order of a message's way through them.
WORKER_NAMES: Final = tuple(_MODULES)


def load_worker(name: str) -> WorkerSpec:
    """The spec of one kind; only its own modules are imported. Raises KeyError for a name that is none."""
    return cast(WorkerSpec, import_module(_MODULES[name]).SPEC)
