"""What a server's own module says about running it: the value between preparing and starting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.processes import Command


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands to run, in this order; where the server then answers; its log; where its data lie.

    `metrics`: host and port of what it shows to Prometheus, where it does.
    """

    commands: Sequence[Command]
    url: str
    log: Path
    data: Path
    management_url: str | None = None
    metrics: str | None = None
