"""Two batches of one queue at work, and never two messages of one order key.

Owns which keys are at work and what was taken but waits for one of them. Works nothing itself.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from shared.amqp.delivery import Delivery
from shared.consuming.arrangement import OrderKey

_AT_ONCE: Final = 2


class Hands:
    """What is at work. A message without a key waits for none and holds up none."""

    def __init__(self, order_key: OrderKey) -> None:
        self._order_key = order_key
        self._keys: Counter[str] = Counter()
        self._count = 0
        #: Set while nothing is at work, and while another batch may be begun.
        self.empty = asyncio.Event()
        self.free = asyncio.Event()
        self._show()

    def split(self, items: Iterable[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """What may be begun beside what is at work, and what waits for it; each in its order."""
        free: list[Delivery] = []
        waiting: list[Delivery] = []
        for item in items:
            (waiting if self._order_key(item) in self._keys else free).append(item)
        return free, waiting

    def begin(self, part: Sequence[Delivery]) -> None:
        """This is at work now."""
        self._count += 1
        self._keys.update(self._keys_of(part))
        self._show()

    def end(self, part: Sequence[Delivery]) -> None:
        """It is no more."""
        self._count -= 1
        self._keys.subtract(self._keys_of(part))
        self._keys += Counter()  # forgets those at zero
        self._show()

    def _show(self) -> None:
        for event, holds in ((self.empty, self._count == 0), (self.free, self._count < _AT_ONCE)):
            event.set() if holds else event.clear()

    def _keys_of(self, part: Sequence[Delivery]) -> list[str]:
        return [key for item in part if (key := self._order_key(item)) is not None]
