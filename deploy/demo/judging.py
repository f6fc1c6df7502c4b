"""From evidence to verdicts; and doubts: what the judge itself could not tell, which breaks no promise.

A check that fails, a wait that was too short, an event that was told and that the demo did not hear: such
faults of the demo are told apart from what the cluster did.
"""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.demo.invariants import INVARIANTS, Evidence, Invariant, Verdict
from deploy.demo.invariants.verdict import judge
from deploy.demo.rest import Rest
from shared.errors import WabusError

#: The one thing that is under way in the demo alone.
AGENTS: Final = "agents at work"


#: What nobody can judge without: the witness of all that was sent.
WITNESS_ENDED: Final = "the simulated Cloud API ended, and with it what it knew of all messages"


class NotJudgedError(WabusError):
    """The day could not be played or judged to its end. That says nothing about any promise."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What became of each promise; `doubts`: why some of it could not be judged, a line each."""

    verdicts: Sequence[Verdict] = ()
    doubts: Sequence[str] = ()

    @property
    def is_broken(self) -> bool:
        """Whether some promise was."""
        return not all(verdict.is_kept for verdict in self.verdicts)


def conclude(evidence: Evidence, rest: Rest, invariants: Sequence[Invariant] = INVARIANTS) -> Conclusion:
    """Hold the evidence against every promise.

    While work goes on there is nothing to judge: queues are not empty yet, and replies not yet sent.
    """
    if rest.is_moving:
        return Conclusion(doubts=[f"work was still going on when the demo gave up waiting: {_list(rest)}"])
    verdicts, doubts = [_came_to_rest(rest)], list(_doubt_agents(evidence, rest))
    for invariant in invariants:
        try:
            verdicts.append(invariant(evidence))
        except Exception as error:  # whatever it is, it is the check's
            doubts.append(f"the check {invariant.__name__} failed: {describe(error)}")
    return Conclusion(verdicts, doubts)


def describe(error: BaseException) -> str:
    """An error in one line, with its place; of a group, its errors'."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(describe(one) for one in error.exceptions))
    if isinstance(error, WabusError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _came_to_rest(rest: Rest) -> Verdict:
    stuck = {name: count for name, count in rest.under_way.items() if name != AGENTS}
    return judge(
        "all work comes to its end",
        1,
        (f"{name} {count}, unchanged for {rest.unchanged_s:.0f} s" for name, count in stuck.items()),
    )


def _doubt_agents(evidence: Evidence, rest: Rest) -> Iterator[str]:
    """What the demo's agents did not hear, or whatever else keeps them."""
    for item in evidence.awaited:
        if item.is_published:
            yield f"{item.event_type} of {item.subject} was told, and the demo's agents did not hear it"
    if AGENTS in rest.under_way and not evidence.awaited:
        yield f"{rest.under_way[AGENTS]} of the demo's agents are at work, and nothing keeps them"


def _list(rest: Rest) -> str:
    return ", ".join(f"{name} {count}" for name, count in rest.under_way.items())
