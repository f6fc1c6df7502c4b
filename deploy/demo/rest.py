"""Waiting until everything has come to rest: nothing under way, several looks in a row."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

_PAUSE_S: Final = 0.4
_LOOKS: Final = 3


async def wait_for_rest(
    look: Callable[[], Awaitable[Mapping[str, int]]],
    timeout_s: float,
    show: Callable[[Mapping[str, int]], None],
    pause_s: float = _PAUSE_S,
) -> bool:
    """Look every `pause_s` until nothing is under way; False where something still is after `timeout_s`.

    Several looks in a row must agree: what a worker has in hand is in no queue and no table.
    """
    quiet = 0
    try:
        async with asyncio.timeout(timeout_s):
            while quiet < _LOOKS:
                unrest = await look()
                show(unrest)
                quiet = 0 if unrest else quiet + 1
                await asyncio.sleep(pause_s)
    except TimeoutError:
        return False
    return True
