"""What a fault is to the rig, and what a schedule must know of one to draw it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, Protocol, get_args

from tests.faults.place import Place

#: The goal after a server's return, in seconds.
SERVER_GOAL_S: Final = 10.0
#: The goal after a Cloud API that failed: a number's breaker stays open for 30 s (rule 4.7), then it probes,
#: and what was deferred meanwhile goes first.
BREAKER_GOAL_S: Final = 45.0
#: … and so long what a number has to send is held back after it.
BREAKER_HOLDS_S: Final = 30.0
#: The way of the messages that show whether a cluster has recovered.
Probe = Literal["chat", "campaign", "scheduled campaign", "dead letter"]
#: What an untouched customer waits for: `inbound` from a message's publish until it is told enriched, `reply`
#: from a reply's publish until the platform has it, `status` from there until its delivery is stored.
Wait = Literal["inbound", "reply", "status"]
EVERY_WAIT: Final[frozenset[Wait]] = frozenset(get_args(Wait))


class FaultUnavailableError(Exception):
    """This machine cannot have the fault. Raised by `strike`; the table says "not run" and the text."""


class Fault(Protocol):
    """One fault of a run. `name` says whom it hits, too: `kill -9 outbound-sender.2`."""

    @property
    def name(self) -> str: ...

    async def strike(self, place: Place) -> None:
        """Begin. Returns once it is in force. Raises FaultUnavailableError."""

    async def heal(self, place: Place) -> None:
        """End what `strike` began, whatever became of it; returns once the server answers again."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault that a schedule may draw.

    `make` draws the victim and the details. `lasts_s`: bounds of the time between strike and heal.
    `recovers_within_s`: the goal, counted from `recovers_from`: the end of the heal (a server's return) or
    the strike (another replica goes on); with `ends_all` there is none, and the supervisor's restart counts.
    `spares`: the waits of untouched customers that it must not lengthen; a server that is away touches all.
    `held_s`: how long a replica that cannot work may hold what it had in hand when it noticed.
    `lingers_s`: how long after its end it may still hold messages back.
    `needs_two`: whether it strikes one replica beside another.
    """

    name: str
    make: Callable[[Random], Fault]
    lasts_s: tuple[float, float]
    recovers_from: Literal["strike", "heal"] = "heal"
    recovers_within_s: float = SERVER_GOAL_S
    probe: Probe = "chat"
    ends_all: bool = False
    spares: frozenset[Wait] = frozenset()
    held_s: float = 0.0
    lingers_s: float = 0.0
    needs_two: bool = False
