"""How long each stage of a run took."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, stage: str) -> None:
        """A stage is over."""
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 1)
        self._since = now
