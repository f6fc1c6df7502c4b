"""Carries out a schedule: strike, wait, heal, measure the recovery, and on to the next fault."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from deploy.demo.processes import Pauses
from deploy.demo.record import now_s
from tests.faults.fault import Fault, FaultUnavailableError
from tests.faults.place import Place
from tests.faults.probing import Prober
from tests.faults.results import Injected
from tests.faults.schedule import Schedule, Strike
from tests.faults.table import describe

#: As a supervisor does: a second after its end.
PAUSES: Final = Pauses(1.0, 1.0)
#: So much of an error is told.
_TOLD: Final = 500
Say = Callable[[str], None]


async def inject(schedule: Schedule, place: Place, prober: Prober, say: Say) -> list[Injected]:
    """Every fault of the schedule, one after the other."""
    injected = []
    for strike in schedule.strikes:
        await asyncio.sleep(strike.after_s)
        fault = strike.kind.make(Random(strike.seed))
        say(f"{fault.name} for {strike.lasts_s:.0f} s" if strike.lasts_s else fault.name)
        injected.append(await _inject_one(strike, fault, place, prober))
        say(f"  recovery: {describe(injected[-1])}")
    return injected


async def _inject_one(strike: Strike, fault: Fault, place: Place, prober: Prober) -> Injected:
    kind, since = strike.kind, now_s()
    in_force, recovered_s = since, None
    not_run = error = None
    try:
        in_force, recovered_s = await _strike_and_heal(strike, fault, place, prober)
    except FaultUnavailableError as unavailable:
        not_run = str(unavailable)
    except Exception as failure:
        error = f"{type(failure).__name__} {failure}".strip()[:_TOLD]
    return Injected(
        name=fault.name,
        since=since,
        until=now_s(),
        recovered_s=recovered_s,
        goal_s=kind.recovers_within_s,
        not_run=not_run,
        error=error,
        in_force=in_force,
        spares=kind.spares,
        held_s=kind.held_s,
        lingers_s=kind.lingers_s,
    )


async def _strike_and_heal(strike: Strike, fault: Fault, place: Place, prober: Prober) -> tuple[float, float]:
    """Since when it was in force, and the seconds that the recovery took."""
    kind, since = strike.kind, now_s()
    recovered_at = float("inf")
    try:
        await fault.strike(place)
        in_force = now_s()
        if kind.recovers_from == "strike":
            recovered_at = await prober.pass_through(kind.probe)
        await asyncio.sleep(strike.lasts_s)
    finally:
        await fault.heal(place)
    if kind.recovers_from == "heal":
        since = now_s()
        recovered_at = await prober.pass_through(kind.probe)
    elif kind.ends_all or place.is_single:
        since = max(since, *(keeper.started_at for keeper in place.workers.keepers.values()))
    return in_force, recovered_at - since
