"""A server that ends and comes back: orderly or by `kill -9`, on the same ports and data.

Redis keeps nothing on disk, so it comes back empty.
"""

import asyncio
import signal
from dataclasses import dataclass
from random import Random

from deploy import stack
from deploy.stack import Kind
from shared.errors import StackError
from tests.faults.fault import FaultKind, FaultUnavailableError
from tests.faults.place import Place


@dataclass(frozen=True, slots=True)
class Stopped:
    """One server of the private stack is gone. `how`: SIGKILL, or what its operators would send."""

    kind: Kind
    how: signal.Signals

    @property
    def name(self) -> str:
        return f"{self.kind} {'killed' if self.how is signal.SIGKILL else 'stopped'} and started again"

    async def strike(self, place: Place) -> None:
        """End it. Raises FaultUnavailableError where it is no process of ours."""
        try:
            await asyncio.to_thread(stack.end_server, place.stack_root, self.kind, self.how)
        except StackError as error:
            raise FaultUnavailableError(str(error)) from error

    async def heal(self, place: Place) -> None:
        """Start it again; returns once it answers."""
        await asyncio.to_thread(stack.start_server, place.stack_root, self.kind)


def stop_kinds(kind: Kind, orderly: signal.Signals) -> tuple[FaultKind, ...]:
    """Both ways in which one server can end."""
    return tuple(_kind(Stopped(kind, how)) for how in (orderly, signal.SIGKILL))


def _kind(fault: Stopped) -> FaultKind:
    def make(_: Random) -> Stopped:
        return fault

    return FaultKind(fault.name, make, lasts_s=(1.0, 10.0))
