"""One seed in a process of its own, told line by line as it goes."""

import logging
import time

from rich.console import Console

from tests.faults.catalogue import KINDS
from tests.faults.results import Outcome
from tests.faults.rig import run_seed
from tests.faults.schedule import make_schedule


def run_shown(started: float, seed: int) -> Outcome:
    """Run a seed; lines on stderr begin with the seconds since `started`, of the monotonic clock."""
    progress = Console(stderr=True)
    logging.disable(logging.CRITICAL)  # what the rig's own connections say of a broker that it takes away

    def say(line: str) -> None:
        elapsed_s = time.monotonic() - started
        progress.print(f"{elapsed_s:6.1f} s  seed {seed}: {line}", markup=False, soft_wrap=True)

    outcome = run_seed(make_schedule(seed, KINDS), say)
    for verdict in outcome.verdicts:
        if not verdict.is_kept:
            say(f"  broken: {verdict.promise} ({len(verdict.violations)} times): {verdict.violations[0]}")
    say(f"{'kept' if outcome.passed else 'BROKEN'}; {outcome.seconds}")
    return outcome
