"""What a run came to: each fault with its recovery time, the verdicts, and the figures of the table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.demo.invariants import Verdict
from tests.faults.fault import Wait


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault of a run. `recovered_s`: None where it did not strike; infinity where it did not recover.

    `since` and `until`: epoch seconds, from the strike to the end of the recovery; `in_force`: since when it
    was all there. `not_run`: why it cannot be had here. `error`: what went wrong with the fault itself, a
    failure of the rig. `spares`, `held_s` and `lingers_s`: its kind's.
    """

    name: str
    since: float
    until: float
    recovered_s: float | None
    goal_s: float
    not_run: str | None = None
    error: str | None = None
    in_force: float = 0.0
    spares: frozenset[Wait] = frozenset()
    held_s: float = 0.0
    lingers_s: float = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether the recovery took longer than its goal."""
        return self.recovered_s is not None and self.recovered_s > self.goal_s


@dataclass(frozen=True, slots=True)
class Span:
    """The waits of one kind beside one fault: how many, the longest, and the longest of all before any."""

    fault: str
    kind: Wait
    count: int
    longest_s: float
    quiet_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `messages`: how many were accepted by the broker or the platform. `logs`: kept on failure.

    `lost` and `twice` count what the verdicts found; `ambiguous_twice` the replies that went out once more
    after an answer that nobody got, as documented. `waits`: of untouched customers.
    """

    seed: int
    replicas: int
    injected: Sequence[Injected]
    verdicts: Sequence[Verdict]
    messages: int
    lost: int
    twice: int
    ambiguous_twice: int
    came_to_rest: bool
    seconds: dict[str, float]
    waits: Sequence[Span] = ()
    logs: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every fault struck, every promise was kept and everything came to rest."""
        faulty = any(fault.error for fault in self.injected)
        return self.came_to_rest and not faulty and all(verdict.is_kept for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """One object, for programs."""
        return {
            **asdict(self),
            "injected": [{**asdict(fault), "spares": sorted(fault.spares)} for fault in self.injected],
            "passed": self.passed,
            "logs": None if self.logs is None else str(self.logs),
        }
