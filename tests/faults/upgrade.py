"""`python -m tests.faults.upgrade`: an upgrade without downtime and its rollback, under load, judged.

The earlier release works; workers of this tree start beside its own, which are then drained one by one; and
back again the same way. Exit code 1 where a promise was broken, 2 where the rehearsal could not be held.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

from rich.console import Console

from deploy.demo.processes import Program
from shared.errors import StackError
from tests.faults.earlier import Earlier, earlier_release
from tests.faults.fault import EVERY_WAIT, Fault, FaultKind, Wait
from tests.faults.injecting import Say
from tests.faults.place import Place
from tests.faults.results import Outcome
from tests.faults.rig import run_seed
from tests.faults.schedule import Schedule, Strike
from tests.support.paces import SHIPPED
from workers.cli.printing import open_console
from workers.registry import WORKER_NAMES

_SEED: Final = 1
_DRAIN_S: Final = 30.0
#: Without an upgrade, so that there are waits to compare with.
_QUIET_S: Final = 12.0
#: Old and new ones take about so long to change places, twice.
_ROLLING_S: Final = 30.0
_NEW_ALONE_S: Final = 5.0


class Rolling:
    """The upgrade is the strike, its rollback the heal. Old workers are `.1` and `.3`, new ones `.2`."""

    name: Final = "upgrade and rollback"

    def __init__(self, earlier: Earlier) -> None:
        self._earlier = earlier

    async def strike(self, place: Place) -> None:
        """From the earlier release to this tree."""
        await _roll(place, 2, {})

    async def heal(self, place: Place) -> None:
        """From this tree to the earlier release."""
        await _roll(place, 3, self._earlier.environment)


async def _roll(place: Place, number: int, code: Mapping[str, str]) -> None:
    """Start a worker of each kind that runs `code`; once all work, drain the others one by one."""
    fleet = place.workers
    replaced = [name for worker in WORKER_NAMES for name in place.replicas(worker)]
    async with asyncio.TaskGroup() as starting:
        for name in replaced:
            starting.create_task(fleet.add(_renew(fleet.keepers[name].program, number, code)))
    for name in replaced:
        await fleet.retire(name, _DRAIN_S)


def _renew(program: Program, number: int, code: Mapping[str, str]) -> Program:
    """The same worker under another number, run by these variables instead of the release's."""
    name = f"{program.name.rpartition('.')[0]}.{number}"
    kept = {key: value for key, value in program.env.items() if key not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    return replace(program, name=name, env=kept | dict(code), log=program.log.with_name(f"{name}.log"))


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

    `spares`: whose waits must not grow meanwhile. Raises StackError where servers or processes cannot be had.
    """
    kind = FaultKind(Rolling.name, partial(_make, earlier), (_NEW_ALONE_S, _NEW_ALONE_S), spares=spares)
    strike = Strike(kind, after_s=0.0, lasts_s=_NEW_ALONE_S, seed=_SEED)
    return run_seed(Schedule(_SEED, 1, (strike,), load_s, quiet_s), say, pace, earlier.environment)


def _make(earlier: Earlier, _random: Random) -> Fault:
    return Rolling(earlier)


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
        f"longest {span.kind} meanwhile {span.longest_s:.1f} s, before {span.quiet_s:.1f} s"
        for span in outcome.waits
    ]
    lines += [f"failed: {fault.error}" for fault in outcome.injected if fault.error]
    for verdict in outcome.verdicts:
        lines += [f"broken: {verdict.promise}: {violation}" for violation in verdict.violations]
    if not outcome.passed:
        lines.append(f"logs: {outcome.logs}" if outcome.came_to_rest else f"no rest; logs: {outcome.logs}")
    console.print("\n".join(lines), markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
