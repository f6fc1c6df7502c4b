"""What a run came to: each fault with its recovery time, the verdicts, and the figures of the table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.demo.invariants import Verdict


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault of a run. `recovered_s`: None where it did not strike; infinity where it did not recover.

    `since` and `until`: epoch seconds, from the strike to the end of the recovery. `not_run`: why it cannot
    be had here. `error`: what went wrong with the fault itself, a failure of the rig.
    """

    name: str
    since: float
    until: float
    recovered_s: float | None
    goal_s: float
    not_run: str | None = None
    error: str | None = None

    @property
    def is_slow(self) -> bool:
        """Whether the recovery took longer than its goal."""
        return self.recovered_s is not None and self.recovered_s > self.goal_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `messages`: how many were accepted by the broker or the platform. `logs`: kept on failure.

    `lost` and `twice` count what the verdicts found; `ambiguous_twice` the replies that went out once more
    after an answer that nobody got, as documented.
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
            "passed": self.passed,
            "logs": None if self.logs is None else str(self.logs),
        }
