"""All sources together, and what needs more than one of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from shared.amqp.management import QueueRates, read_rates
from shared.deadletters.letters import LetterLine, Selection
from shared.deadletters.store import DeadLetterStore
from shared.durable.backlog import Backlog, read_backlog
from shared.messaging.campaigns.status import CampaignStatus, read_statuses
from shared.messaging.messages.pace import Pace, read_pace
from shared.messaging.numbers.control import Number, glance_at_numbers
from shared.messaging.overview.queues import QueueReader
from shared.messaging.overview.sources import Source
from shared.messaging.overview.workers import WorkerLine, consumer_line, lease_line
from shared.postgres.database import Database
from shared.postgres.lease import SCHEDULER, lapsed_s
from shared.settings.server_urls import read_server_url
from shared.settings.settings import Settings
from shared.upkeep import MOST_COUNTED

#: Campaigns that are not over, and dead letters, of which a page has room.
_CAMPAIGNS: Final = 20
_LETTERS: Final = 50
#: Of a page, one connection for what is slow and some for the rest.
_CONNECTIONS: Final = 3
_RABBITMQ: Final = "RabbitMQ"
_MANAGEMENT: Final = "RabbitMQ's management plugin"
_POSTGRESQL: Final = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class WorkFigures:
    """How the work goes as PostgreSQL knows it. `lapsed_s`: of the scheduler's lease."""

    pace: Pace
    backlog: Backlog
    lapsed_s: float | None


class Overview:
    """The sources of one page. `programs`: queues that each kind of worker consumes, by its name.

    `rates` is None where RABBITMQ_MANAGEMENT_URL is not set. `pressing`: the dead letters to look at first,
    for whoever looks at them alone.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        reader: QueueReader,
        programs: Mapping[str, Sequence[str]],
    ) -> None:
        self._settings = settings
        self._database = database
        self._letters = DeadLetterStore(database)
        self._programs = programs
        self.queues = Source("queues", _RABBITMQ, reader.read)
        self.rates: Source[Mapping[str, QueueRates]] | None = None
        if settings.rabbitmq_management_url is not None:
            self.rates = Source("rates", _MANAGEMENT, self._read_rates)
        self.work = Source("work", _POSTGRESQL, self._read_work)
        self.numbers = Source("numbers", _POSTGRESQL, self._read_numbers)
        self.campaigns = Source("campaigns", _POSTGRESQL, self._read_campaigns)
        self.dead_letters = Source("dead letters", _POSTGRESQL, self._count_letters)
        self.pressing = Source("pressing dead letters", _POSTGRESQL, self._read_letters)

    @property
    def sources(self) -> Sequence[Source[Any]]:
        """All that a page needs."""
        rates = () if self.rates is None else (self.rates,)
        return (self.queues, *rates, self.work, self.numbers, self.campaigns, self.dead_letters)

    @property
    def workers(self) -> Sequence[WorkerLine]:
        """A line for each kind, by what RabbitMQ and PostgreSQL said last; one that is away knows nothing."""
        lines = None if self.queues.error else self.queues.value
        work = None if self.work.error else self.work.value
        lapsed = None if work is None else work.lapsed_s
        return [
            consumer_line(worker, queues, lines)
            if queues
            else lease_line(worker, lapsed, is_known=work is not None)
            for worker, queues in self._programs.items()
        ]

    async def _read_rates(self) -> Mapping[str, QueueRates]:
        secret = self._settings.rabbitmq_management_url
        assert secret is not None
        host = read_server_url(self._settings.rabbitmq_url.get_secret_value()).path[1:] or "/"
        return await read_rates(secret.get_secret_value(), host)

    async def _read_work(self) -> WorkFigures:
        return WorkFigures(
            pace=await read_pace(self._database),
            backlog=await read_backlog(self._database, MOST_COUNTED),
            lapsed_s=await lapsed_s(self._database, SCHEDULER),
        )

    async def _read_numbers(self) -> Sequence[Number]:
        named = {self._settings.whatsapp_phone_number_id, *self._settings.whatsapp_numbers}
        return await glance_at_numbers(self._database, named, MOST_COUNTED)

    async def _read_campaigns(self) -> Sequence[CampaignStatus]:
        number = self._settings.whatsapp_phone_number_id
        return await read_statuses(self._database, None, _CAMPAIGNS, number, only_open=True)

    async def _count_letters(self) -> Mapping[str, int]:
        return await self._letters.glance_at_pending(MOST_COUNTED)

    async def _read_letters(self) -> Sequence[LetterLine]:
        return await self._letters.lines(Selection(), _LETTERS)


@asynccontextmanager
async def open_overview(settings: Settings, programs: Mapping[str, Sequence[str]]) -> AsyncIterator[Overview]:
    """An overview whose connections are opened when they are needed, and closed at the end."""
    database = Database(settings.url_source("DATABASE_URL"), size=_CONNECTIONS)
    reader = QueueReader(settings.url_source("RABBITMQ_URL"), enriched_queue=settings.enriched_queue)
    try:
        yield Overview(settings, database, reader, programs)
    finally:
        await reader.close()
        await database.close()
