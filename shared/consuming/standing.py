"""Whether one queue is worked or stands still, and what is in hand of it that nobody has begun.

Owns the reasons of one queue, its brake among them, from which everything is derived: whether it is consumed,
with how many in hand, and what the worker says of it. Nobody else sets that.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from shared.consuming.brake import Brake
from shared.durations import Durations
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger

logger = get_logger(__name__)
BRAKE_REASON: Final = "unexpected errors run wild"
PUBLISHING_REASON: Final = "what must be published is not taken"


class Standing:
    """Of one queue. It stands still while there is a reason, and then until one delivery has been worked.

    A delivery is taken, then begun. In between it is put back (it comes again, here) or let go (to others).
    """

    def __init__(
        self,
        inlet: Inlet,
        state: WorkerState,
        durations: Durations,
        failing_since: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failing_since`: since when what the work must publish is not taken; None while it is."""
        self._inlet = inlet
        self._state = state
        self._failing_since = failing_since
        self._brake = Brake(durations.brake_window, durations.brake_share)
        self._brake_probe_s = durations.brake_probe_s
        self._give_back_s = durations.give_back_s
        self._clock = clock
        self._away: set[str] = set()
        self._reasons: set[str] = set()
        self._next_try = 0.0
        self._since: float | None = None
        self._let_go = False
        self._trying = False
        self._at_work = 0
        self._taken: dict[int, tuple[Delivery, int]] = {}
        self._epoch = 0
        state.progress(inlet.queue)  # a loop that never turns has stalled, too

    @property
    def is_still(self) -> bool:
        """Whether nothing may be begun but a single try."""
        return self._since is not None

    @property
    def is_overdue(self) -> bool:
        """Whether it has stood still for so long that others should have what it holds."""
        return self._since is not None and self._clock() - self._since >= self._give_back_s

    @property
    def may_try(self) -> bool:
        """Whether one delivery may be begun to see how things are: what is at work still shows it, too."""
        return not self._away and not self._at_work and self._clock() >= self._next_try

    def leave(self, server: str, since: float) -> None:
        """A server is away, since then: nothing is tried before it is back. Its gate tells of it."""
        self._away.add(server)
        self._stand_still(since)

    def come_back(self, server: str) -> None:
        """It is back, as far as one can see without working."""
        self._away.discard(server)

    def note(self, *, failed: bool) -> None:
        """A delivery failed unexpectedly, or was worked: with no reason left the queue moves again."""
        self._brake.note(failed=failed)
        if self._since is not None:
            self.look()
        if self._brake.is_tripped:
            self._stop(BRAKE_REASON, since=self._clock())
            self.put_off()
            return
        self._lift(BRAKE_REASON)
        if self._since is not None and not failed and not self._away and not self._reasons:
            self._since = None
            self._next_try = 0.0
            self._let_go = False
            self._trying = False
            self._inlet.resume()

    def put_off(self) -> None:
        """The next try has time: it takes a delivery from those who can work."""
        self._next_try = self._clock() + self._brake_probe_s

    def look(self) -> None:
        """To be called now and then: is published what the work must publish?"""
        since = self._failing_since()
        if since is None:
            self._lift(PUBLISHING_REASON)
        elif self._clock() - since >= self._give_back_s:
            self._stop(PUBLISHING_REASON, since=since)

    def begin_try(self) -> None:
        """Consume with one in hand."""
        if not self._trying:
            self._trying = True
            self._inlet.resume(1)

    def end_try(self) -> None:
        """The one has come."""
        if self._trying:
            self._trying = False
            self._inlet.pause()

    def take(self, batch: Sequence[Delivery]) -> None:
        """These have left the inlet's buffer."""
        self._taken |= {id(delivery): (delivery, self._epoch) for delivery in batch}

    def begin(self, part: Sequence[Delivery], *, is_try: bool) -> list[Delivery]:
        """Those of the taken ones that are to be worked now; `end` must follow where there are any.

        None where the queue stands still, or where something that stood before them was put back.
        """
        taken = [found for delivery in part if (found := self._taken.pop(id(delivery), None)) is not None]
        mine = [delivery for delivery, _ in taken]
        if (self.is_still and not is_try) or any(epoch != self._epoch for _, epoch in taken):
            self.put_back(mine)
            return []
        self._at_work += bool(mine)
        return mine

    def end(self) -> None:
        """A part that was begun is done, or put back."""
        self._at_work -= 1

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Not begun after all: they come again, in their places."""
        self._epoch += 1
        self._inlet.put_back(deliveries)

    def let_go(self) -> list[Delivery]:
        """All that is to be given back now and was not begun: once, until the queue is worked again.

        Not before nothing more arrives: what is given back sooner may come back here, and stay.
        """
        if self._let_go or not self.is_overdue or not self._inlet.is_quiet:
            return []
        self._let_go = True
        return self.let_go_all()

    def let_go_all(self) -> list[Delivery]:
        """All that was not begun."""
        taken = [delivery for delivery, _ in self._taken.values()]
        self._taken.clear()
        return [*taken, *self._inlet.empty()]

    def _stop(self, reason: str, *, since: float) -> None:
        if reason in self._reasons:
            return
        told = self._told(reason)
        logger.error("stands still: %s", told, extra=fields(operation=Operation.CONSUMING))
        self._reasons.add(reason)
        self._state.not_ready.add(told)
        self._state.loop_stall_reasons[self._inlet.queue].add(reason)
        self._stand_still(since)

    def _lift(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.remove(reason)
            self._state.progress(self._inlet.queue)
            self._state.not_ready.discard(self._told(reason))
            self._state.loop_stall_reasons[self._inlet.queue].discard(reason)

    def _told(self, reason: str) -> str:
        """What the worker says of itself: each queue of it for itself."""
        return f"{self._inlet.queue}: {reason}"

    def _stand_still(self, since: float) -> None:
        self._trying = False
        if self._since is None:
            self._since = since
        self._inlet.pause()
