"""All sections, in the order of their keys, and the line above them."""

from datetime import UTC, datetime

from shared.messaging.overview.overview import Overview
from shared.settings.settings import Settings
from workers.cli.overview.campaigns import describe_campaigns
from workers.cli.overview.dead_letters import describe_dead_letters
from workers.cli.overview.numbers import describe_numbers
from workers.cli.overview.parts import PageSection
from workers.cli.overview.queues import describe_queues
from workers.cli.overview.workers import describe_workers


def describe_head(overview: Overview) -> str:
    """The page's first line: when, and which servers answer."""
    servers: dict[str, bool] = {}
    for source in overview.sources:
        if source.error is not None or source.age_s is not None:
            servers[source.server] = servers.get(source.server, True) and source.error is None
    told = (f"{server} {'answers' if well else 'is away'}" for server, well in servers.items())
    return " · ".join(("wabus top", f"{datetime.now(UTC):%H:%M:%S}Z", *told))


def describe_sections(overview: Overview, settings: Settings) -> list[PageSection]:
    """What was read last; of a server that is away, what it told before."""
    return [
        describe_queues(overview),
        describe_workers(overview),
        describe_numbers(overview, settings),
        describe_campaigns(overview),
        describe_dead_letters(overview),
    ]
