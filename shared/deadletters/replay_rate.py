"""Replaying many dead letters: in order, at a rate, told as it goes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.deadletters.replay import CHUNK, NOWHERE, ReplayReport


@dataclass(slots=True)
class Tally:
    """How far a replay came, for who has to tell it when it was interrupted."""

    total: int = 0
    report: ReplayReport = field(default_factory=ReplayReport)


async def replay_at_rate(
    replay: Callable[[Sequence[UUID]], Awaitable[ReplayReport]],
    ids: Sequence[UUID],
    rate: float | None,
    advance: Callable[[int], None],
    tally: Tally,
) -> ReplayReport:
    """Replay in order, at most `rate` a second; stops once nothing goes out any more.

    What was not tried is in neither part of the report. `advance` is told how many were tried,
    `tally` what came of them.
    """
    size = CHUNK if rate is None else max(1, min(CHUNK, int(rate)))
    tally.total = len(ids)
    for start in range(0, len(ids), size):
        chunk = ids[start : start + size]
        pause = asyncio.create_task(asyncio.sleep(0 if rate is None else len(chunk) / rate))
        replaying = asyncio.ensure_future(replay(chunk))
        try:
            report = await asyncio.shield(replaying)
        except asyncio.CancelledError:
            tally.report += await replaying  # what was begun is ended, so that what is told is true
            raise
        tally.report += report
        advance(len(chunk))
        if len(report.failed) == len(chunk) and any(error != NOWHERE for _, error in report.failed):
            pause.cancel()
            break
        if start + size < len(ids):
            await pause
    return tally.report
