"""Replaying many dead letters from the command line: in order, at a rate, told as it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from shared.amqp.opening import open_connection
from shared.amqp.pika.link import BROKER_ERRORS, Link
from shared.amqp.pika.publisher import PikaPublisher
from shared.deadletters.replay import CHUNK, NOWHERE, Replayer, ReplayReport
from shared.durations import DURATIONS
from shared.postgres.database import Database
from shared.settings import Settings
from shared.tasks import end_tasks
from workers.cli.operation import unreached_broker


@dataclass(slots=True)
class Tally:
    """How far a replay came, for who has to tell it when it was interrupted."""

    total: int = 0
    report: ReplayReport = field(default_factory=ReplayReport)


@asynccontextmanager
async def open_replayer(settings: Settings, database: Database) -> AsyncIterator[Replayer]:
    """A replayer with a connection of its own. Raises BrokerUnavailable at once where RabbitMQ is away."""
    url = settings.rabbitmq_url.get_secret_value()
    try:
        async with await open_connection(url):
            pass
    except BROKER_ERRORS as error:
        raise unreached_broker(url, error) from error
    link = Link(url, "wabus dlq", DURATIONS)
    connecting = asyncio.create_task(link.run(), name="amqp publish")
    try:
        yield Replayer(database, PikaPublisher(link, DURATIONS), DURATIONS)
    finally:
        await end_tasks((connecting,))


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
