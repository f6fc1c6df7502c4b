"""Faults of worker processes: killed, drained, stopped for longer than their locks live."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from deploy.stack.processes import ProcessRef
from tests.faults.fault import Fault, FaultKind, Probe
from tests.faults.place import Place
from workers.registry import WORKER_NAMES

#: A worker's locks live 5 s, and renewals die with its loop.
_LONGER_THAN_A_LOCK_S: Final = (7.0, 9.0)
_AT_ONCE_S: Final = (0.0, 0.0)
_WITHIN_S: Final = 5.0
#: Nothing waits in the hands of a scheduler; another one acts when the lease of 15 s has run out.
_NEW_LEASE_S: Final = 20.0
#: What shows that a worker is there again, where it is not a conversation.
_PROBES: Final[Mapping[str, Probe]] = {
    "broadcast-batcher": "campaign",
    "dlq-handler": "dead letter",
    "scheduler": "scheduled campaign",
}


@dataclass(slots=True)
class Ending:
    """One replica of a worker, or all of them, ended by a signal. The supervisor starts it again."""

    worker: str
    number: signal.Signals
    replica: int | None
    _ended: dict[str, ProcessRef | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Signal and victim."""
        how = "kill -9" if self.number is signal.SIGKILL else self.number.name
        return f"{how} {self.worker}{f'.{self.replica}' if self.replica else ', all of them'}"

    async def strike(self, place: Place) -> None:
        """Send the signal."""
        for name in _choose(place, self.worker, self.replica):
            keeper = place.workers.keepers[name]
            self._ended[name] = keeper.ref
            keeper.send(self.number)

    async def heal(self, place: Place) -> None:
        """Nothing to do but wait for the supervisor."""
        waits = (place.workers.wait_for_another(name, ref) for name, ref in self._ended.items())
        await asyncio.gather(*waits)


@dataclass(slots=True)
class Pause:
    """SIGSTOP until the heal: the process is there, its connections are open, and it does nothing."""

    worker: str
    replica: int

    @property
    def name(self) -> str:
        """The victim."""
        return f"SIGSTOP {self.worker}.{self.replica}"

    async def strike(self, place: Place) -> None:
        """Stop it."""
        self._send(place, signal.SIGSTOP)

    async def heal(self, place: Place) -> None:
        """Let it go on."""
        self._send(place, signal.SIGCONT)

    def _send(self, place: Place, number: signal.Signals) -> None:
        for name in _choose(place, self.worker, self.replica):
            place.workers.keepers[name].send(number)


def _choose(place: Place, worker: str, replica: int | None) -> Sequence[str]:
    """Names of the victims; in a run of single replicas the one there is."""
    replicas = place.replicas(worker)
    return replicas if replica is None else [replicas[(replica - 1) % len(replicas)]]


def _end_one(worker: str, number: signal.Signals, random: Random) -> Fault:
    return Ending(worker, number, random.choice((1, 2)))


def _end_all(worker: str, _random: Random) -> Fault:
    return Ending(worker, signal.SIGKILL, None)


def _pause(worker: str, random: Random) -> Fault:
    return Pause(worker, random.choice((1, 2)))


def _ends(worker: str) -> tuple[FaultKind, FaultKind]:
    probe = _PROBES.get(worker, "chat")

    def kind(name: str, number: signal.Signals, within_s: float) -> FaultKind:
        make = partial(_end_one, worker, number)
        return FaultKind(name, make, _AT_ONCE_S, "strike", recovers_within_s=within_s, probe=probe)

    return (
        kind(f"kill -9 {worker}", signal.SIGKILL, _NEW_LEASE_S if worker == "scheduler" else _WITHIN_S),
        kind(f"SIGTERM {worker}", signal.SIGTERM, _WITHIN_S),
    )


KINDS: Final[tuple[FaultKind, ...]] = (
    *(kind for worker in WORKER_NAMES for kind in _ends(worker)),
    *(
        FaultKind(
            f"kill -9 {worker}, all of them",
            partial(_end_all, worker),
            _AT_ONCE_S,
            recovers_from="strike",
            ends_all=True,
            recovers_within_s=_WITHIN_S,
        )
        for worker in ("inbound-resolver", "outbound-sender", "status-updater")
    ),
    *(
        FaultKind(f"SIGSTOP {worker}", partial(_pause, worker), _LONGER_THAN_A_LOCK_S)
        for worker in ("inbound-resolver", "outbound-sender", "status-updater", "scheduler")
    ),
)
