"""What a run is judged by: the demo's evidence, what was heard, and what the processes held before and after.

Owns the values only. Who reads them is `tests.faults.reading`; who judges, `tests.faults.checker`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.demo.invariants.evidence import Evidence
from tests.faults.event_log import Heard
from tests.faults.results import Injected


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds: resident memory, open files, tasks, and whether it says that it works."""

    rss_bytes: int
    files: int
    tasks: int
    is_live: bool = True
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Footprint:
    """Processes by name, connections of workers by server, consumers by queue."""

    processes: Mapping[str, Holding] = field(default_factory=dict)
    connections: Mapping[str, int] = field(default_factory=dict)
    consumers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A row of the outbox: what has to be told, and under which key."""

    key: str
    event_type: str


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that failed: its row's error, and the reasons of its dead letters."""

    message_id: str
    error_code: str
    reasons: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lap:
    """A message of no worker took so long: what the machine and the servers were slow, all were slow."""

    since: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """All of it. `repeated`: bodies whose confirm was lost, so that they may have been queued twice.

    `untouched`: wamids and ids of replies of those whom no fault touches; `laps`: of the reference.
    `enriched_at` by wamid, `delivered_at` by message: when the cluster had done with it, by the database's
    clock, which is this machine's.

    `erased`: how many people were, `left_of_erased`: what was still stored of them.
    `undecided`: bodies that are dead as `send_ambiguous`, and of whose attempts one was just that.
    """

    evidence: Evidence
    heard: Sequence[Heard] = ()
    outbox: Sequence[OutboxEvent] = ()
    failed: Sequence[FailedMessage] = ()
    injected: Sequence[Injected] = ()
    replicas: int = 2
    repeated: frozenset[bytes] = frozenset()
    undecided: frozenset[bytes] = frozenset()
    untouched: frozenset[str] = frozenset()
    erased: int = 0
    left_of_erased: Sequence[str] = ()
    enriched_at: Mapping[str, float] = field(default_factory=dict)
    delivered_at: Mapping[str, float] = field(default_factory=dict)
    laps: Sequence[Lap] = ()
    before: Footprint = Footprint()
    after: Footprint = Footprint()
