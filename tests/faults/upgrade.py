"""`python -m tests.faults.upgrade`: an upgrade without downtime and its rollback, under load, judged.

The earlier release works; the schema is brought forward, workers of this tree start beside its own, which are
then drained one by one. Back again it goes the same way, or, where the schema is another, with all workers
ended. Exit code 1 where a promise was broken, 2 where the rehearsal could not be held.
"""

import logging
import sys
from random import Random
from typing import Final

from rich.console import Console

from shared.errors import StackError
from tests.faults.earlier import Earlier, earlier_release
from tests.faults.fault import EVERY_WAIT, Fault, FaultKind, Wait
from tests.faults.injecting import Say
from tests.faults.results import Outcome
from tests.faults.rig import run_seed
from tests.faults.rolling import Rollback, Upgrade
from tests.faults.schedule import Schedule, Strike
from tests.support.paces import SHIPPED
from workers.cli.printing import open_console

_SEED: Final = 1
#: Without an upgrade, so that there are waits to compare with.
_QUIET_S: Final = 12.0
#: Old and new ones take about so long to change places, twice.
_ROLLING_S: Final = 30.0
_NEW_ALONE_S: Final = 5.0


def rehearse(
    earlier: Earlier,
    say: Say,
    *,
    pace: str = SHIPPED,
    load_s: float = _QUIET_S + _ROLLING_S + _NEW_ALONE_S,
    quiet_s: float = _QUIET_S,
    spares: frozenset[Wait] = EVERY_WAIT,
) -> Outcome:
    """Upgrade and roll back under `load_s` of load, the first `quiet_s` of it without.

    `spares`: whose waits must not grow meanwhile; a rollback with a pause spares nobody. Raises StackError
    where servers or processes cannot be had.
    """
    spared_by_rollback: frozenset[Wait] = frozenset() if earlier.is_behind else spares
    steps = (
        _step(Upgrade(), _NEW_ALONE_S, spares),
        _step(Rollback(earlier), 0.0, spared_by_rollback),
    )
    return run_seed(Schedule(_SEED, 1, steps, load_s, quiet_s), say, pace, earlier)


def _step(fault: Fault, lasts_s: float, spares: frozenset[Wait]) -> Strike:
    def make(_random: Random) -> Fault:
        return fault

    kind = FaultKind(fault.name, make, (lasts_s, lasts_s), spares=spares)
    return Strike(kind, after_s=0.0, lasts_s=lasts_s, seed=_SEED)


def main() -> int:
    """Hold the rehearsal and print what came of it."""
    progress = Console(stderr=True)
    logging.disable(logging.CRITICAL)  # what the rig's own connections say

    def say(line: str) -> None:
        progress.print(line, markup=False, soft_wrap=True)

    with earlier_release() as earlier:
        if earlier.missing:
            say(f"this tree plays the old release, too: {earlier.missing}")
        try:
            outcome = rehearse(earlier, say)
        except StackError as error:
            say(f"the rehearsal cannot be held: {error}")
            return 2
        _print(earlier, outcome, open_console())
    return 0 if outcome.passed else 1


def _print(earlier: Earlier, outcome: Outcome, console: Console) -> None:
    lines = [
        f"from {earlier.name} to this tree and back: {outcome.messages:,} messages,"
        f" {outcome.lost} lost, {outcome.twice} twice"
    ]
    lines += [
        f"longest {span.kind} beside the {span.fault} {span.longest_s:.1f} s, before {span.quiet_s:.1f} s"
        for span in outcome.waits
    ]
    lines += [f"the {step.name} took {step.in_force - step.since:.0f} s" for step in outcome.injected]
    lines += [f"failed: {fault.error}" for fault in outcome.injected if fault.error]
    for verdict in outcome.verdicts:
        lines += [f"broken: {verdict.promise}: {violation}" for violation in verdict.violations]
    if not outcome.passed:
        lines.append(f"logs: {outcome.logs}" if outcome.came_to_rest else f"no rest; logs: {outcome.logs}")
    console.print("\n".join(lines), markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
