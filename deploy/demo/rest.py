"""Waiting until everything has come to rest: nothing under way, several looks in a row."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

_PAUSE_S: Final = 0.4
_LOOKS: Final = 3
#: What has not changed for so long stands still: no message that goes on by itself waits for more than 90 s.
_STANDSTILL_S: Final = 100.0


@dataclass(frozen=True, slots=True)
class Rest:
    """How the waiting ended: what is still `under_way`, by what, and for how long that had not changed."""

    under_way: Mapping[str, int] = field(default_factory=dict)
    unchanged_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether nothing is under way."""
        return not self.under_way

    @property
    def is_moving(self) -> bool:
        """Whether something is under way and may well come to its end: we did not wait long enough."""
        return bool(self.under_way) and self.unchanged_s < _STANDSTILL_S


async def wait_for_rest(
    look: Callable[[], Awaitable[Mapping[str, int]]],
    timeout_s: float,
    show: Callable[[Mapping[str, int]], None],
    pause_s: float = _PAUSE_S,
) -> Rest:
    """Look every `pause_s` until nothing is under way, for `timeout_s`.

    Several looks in a row must agree: what a worker has in hand is in no queue and no table. Raises
    TimeoutError where a look has no end.
    """
    began = changed_at = time.monotonic()
    quiet, last = 0, dict[str, int]()
    while quiet < _LOOKS:
        async with asyncio.timeout(timeout_s):
            unrest = dict(await look())
        show(unrest)
        now = time.monotonic()
        if unrest != last:
            last, changed_at = unrest, now
        if unrest and now - began > timeout_s:
            return Rest(unrest, now - changed_at)
        quiet = 0 if unrest else quiet + 1
        await asyncio.sleep(pause_s)
    return Rest()
