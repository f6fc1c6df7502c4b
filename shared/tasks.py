"""Ending tasks for certain."""

import asyncio
from collections.abc import Sequence
from typing import Any

#: A task that did not end by then is told again.
_AGAIN_S = 0.5


async def end_tasks(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel until all have ended: a library below may take a cancellation for an error of its own."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
