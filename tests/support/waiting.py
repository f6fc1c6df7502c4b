"""Waiting for a condition, never for a time. A wait that is in vain says for what, and what it saw last."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

from tests.support.witness import describe, witness

Condition = Callable[[], bool | Awaitable[bool]]

#: Pause between two looks: at first, and at most. It grows with the wait, of which it is a small part, and is
#: three times as long as the look before it: looks take time from what they wait for.
_PAUSE_S: Final = 0.005
_PAUSE_MAX_S: Final = 0.1
_PAUSE_SHARE: Final = 0.05
_PAUSE_LOOKS: Final = 3.0
_PAUSE_LOOKS_MAX_S: Final = 0.3
#: How long a last look may take that is only there to tell what it sees.
_LAST_LOOK_S: Final = 5.0


class Patience:
    """How long `until` waits where its caller names no time; `--patience` shortens it for a whole run."""

    seconds = 60.0


async def until(condition: Condition, timeout_s: float | None = None) -> None:
    """Return once `condition()` (or what it awaits) is true.

    `TimeoutError` after `timeout_s`: with the condition as it is written, and what its functions got and gave
    at a last look.
    """
    patience_s = Patience.seconds if timeout_s is None else timeout_s
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(patience_s) as patience:
            while True:
                looked = clock()
                if await _holds(condition):
                    return
                now = clock()
                pause_s = min(max(_PAUSE_S, _PAUSE_SHARE * (now - began)), _PAUSE_MAX_S)
                looks_s = min(_PAUSE_LOOKS * (now - looked), _PAUSE_LOOKS_MAX_S)
                await asyncio.sleep(max(pause_s, looks_s))
    except TimeoutError as error:
        if not patience.expired():  # it is the condition's own
            raise
        seen = await _look(condition)
        if seen is None:
            return
        told = "\n".join(f"  {line}" for line in [describe(condition), *seen])
        raise TimeoutError(f"waited {patience_s:g} s in vain for\n{told}") from error


async def _look(condition: Condition) -> list[str] | None:
    """What the condition sees now; None where it holds after all."""
    with witness(condition) as seen:
        try:
            async with asyncio.timeout(_LAST_LOOK_S):
                if await _holds(condition):
                    return None
        except TimeoutError:
            return [*seen, f"it gave no answer within {_LAST_LOOK_S:g} s"]
    return list(seen) or ["it is false"]


async def _holds(condition: Condition) -> bool:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
