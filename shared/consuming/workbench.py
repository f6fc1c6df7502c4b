"""What all queues of one worker are worked with."""

from dataclasses import dataclass

from shared.amqp.publisher_health import PublisherHealth
from shared.consuming.ages import QueueAges
from shared.consuming.settlement import Settlement
from shared.consuming.store_gate import StoreGate
from shared.durations import Durations
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Workbench:
    """`worker` names it in metrics. All but its name and settlement is the process's, other workers' too."""

    worker: str
    settlement: Settlement
    gate: StoreGate
    health: PublisherHealth
    state: WorkerState
    metrics: Metrics
    ages: QueueAges
    durations: Durations
