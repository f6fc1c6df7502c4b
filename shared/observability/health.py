"""How a worker is: the state it keeps of itself, the checks of its servers, and the verdict.

Owns the rules: what makes a worker unhealthy, degraded, stalled, not ready. Does not serve them over HTTP
(`shared.observability.server`), nor know when a server is asked (`shared.observability.checks`) and how (each
adapter brings its probe).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal, Protocol

from shared.observability.metrics import Metrics

#: A consuming loop that has not turned for this long, without a known reason, has stalled.
STALL_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of one server. `latency_ms` is measured by whoever asks where a probe gives none."""

    status: Literal["ok", "error"]
    latency_ms: float | None = None
    queue_depth: int | None = None
    error: str | None = None


class Probe(Protocol):
    """Checks one server (`database`, `redis`, `rabbitmq`) or the breakers (`circuits`)."""

    @property
    def name(self) -> str:
        """The key in `checks`."""

    @property
    def essential(self) -> bool:
        """Whether the worker is unhealthy without it; else it is degraded."""

    async def check(self) -> Check:
        """Asks the server. May raise or hang: whoever asks takes either for an error."""


class Health(StrEnum):
    """The verdict of `/health`."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class WorkerState:
    """What a worker process knows of itself. One per process, changed by whoever owns each reason.

    `not_ready`, `degraded` and `stall_reasons` are sets of short texts, added and discarded by the component
    that knows: not ready from the start until the process discards `STARTING`; a stall reason (such as
    "PostgreSQL is away") excuses every loop that does not turn, one of `loop_stall_reasons` its own loop.
    """

    STARTING: Final = "starting"

    def __init__(
        self,
        worker: str,
        metrics: Metrics,
        *,
        stall_after_s: float = STALL_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.worker = worker
        self.not_ready: set[str] = {self.STARTING}
        self.degraded: set[str] = set()
        self.stall_reasons: set[str] = set()
        self.loop_stall_reasons: defaultdict[str, set[str]] = defaultdict(set)
        self._last_progress_metric = metrics.last_progress.labels(worker)
        self._stall_after_s = stall_after_s
        self._clock = clock
        self._started = clock()
        self._last_progress: dict[str, float] = {}

    def progress(self, loop: str = "") -> None:
        """A loop (one per queue, or the worker's only one) has turned: at each turn, idle ones too.

        The metric tells of the loop that turned longest ago.
        """
        now = self._last_progress[loop] = self._clock()
        self._last_progress_metric.set(time.time() - (now - min(self._last_progress.values())))

    @property
    def uptime_s(self) -> float:
        return self._clock() - self._started

    @property
    def live(self) -> bool:
        """False only when a loop has stalled without a known reason, of all loops or of its own."""
        latest = self._clock() - self._stall_after_s
        turned = self._last_progress or {"": self._started}
        stalled = {
            loop for loop, at in turned.items() if at < latest and not self.loop_stall_reasons.get(loop)
        }
        return bool(self.stall_reasons) or not stalled


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the worker is at one moment, and why it is not better."""

    health: Health
    ready: bool
    reasons: Sequence[str]
    checks: Mapping[str, Check]
    uptime_s: float

    def as_json(self) -> dict[str, object]:
        """The body of `/health`."""
        return {
            "status": self.health.value,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "checks": {name: asdict(check) for name, check in self.checks.items()},
            "uptime_seconds": round(self.uptime_s, 3),
            "reasons": list(self.reasons),
        }


def judge(state: WorkerState, probes: Sequence[Probe], checks: Mapping[str, Check]) -> Verdict:
    """Decide by what each probe's server answered last."""
    failed = {name for name, check in checks.items() if check.status == "error"}
    fatal = failed & {probe.name for probe in probes if probe.essential}
    stalled = () if state.live else ("consuming has stalled",)
    reasons = [*stalled, *(f"{name} check failed" for name in sorted(failed))]
    reasons += [*sorted(state.not_ready), *sorted(state.degraded)]
    health = Health.DEGRADED if reasons else Health.HEALTHY
    return Verdict(
        health=Health.UNHEALTHY if fatal or stalled else health,
        ready=not (state.not_ready or fatal),
        reasons=reasons,
        checks=checks,
        uptime_s=state.uptime_s,
    )
