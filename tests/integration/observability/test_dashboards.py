"""Every query of every panel is asked of a real Prometheus that scraped working workers, and gives data."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import pytest

from deploy.grafana.boards import BOARDS
from tests.support.prometheus_server import PrometheusServer
from tests.support.promql import RULE_FILES
from tests.support.waiting import until
from tests.support.watched_cluster import NUMBER, Sent, Watched, watched_cluster

#: Grafana would fill in four of its scrapes' intervals; here a few of the faster ones.
_INTERVAL: Final = "20s"
_ROUND_S: Final = 1.0
#: What no worker does to a row that is sound.
_SET_ASIDE: Final = "insert into rows_set_aside (job, row_key, reason) values ('retention', '1', 'a test')"
#: Endings of phones to which the Cloud API answers well, refuses each time, and closes the connection.
_WELL, _REFUSED, _CLOSED = "000", "902", "904"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Everything that an operator has, objectives too."""
    with watched_cluster(tmp_path_factory.mktemp("watched"), RULE_FILES) as cluster:
        yield cluster


async def test_every_query_of_every_panel_gives_data(watched: Watched) -> None:
    empty = {
        (f"{board.title}: {panel.title}", legend, expr)
        for board in BOARDS
        for panel in board.panels
        for legend, expr in panel.queries.items()
    }
    await watched.execute(_SET_ASIDE)

    async def all_have_given_data() -> bool:
        for query in sorted(empty):
            if await _gives_data(watched.prometheus, *query[1:]):
                empty.remove(query)
        return not empty

    async with _traffic(watched):
        await until(all_have_given_data)


async def _gives_data(prometheus: PrometheusServer, legend: str, expr: str) -> bool:
    """Whether there is a number for each legend's labels."""
    found = await prometheus.query(expr.replace("$__rate_interval", _INTERVAL))
    named = set(re.findall(r"\{\{(\w+)\}\}", legend))
    return any(series["value"][1] != "NaN" and series["metric"].keys() >= named for series in found)


@asynccontextmanager
async def _traffic(watched: Watched) -> AsyncIterator[None]:
    """Traffic of all kinds, second by second, until the block ends."""

    async def publish() -> None:
        for number in count():
            await watched.converse(3)
            await watched.publish(*_trouble(number))
            await asyncio.sleep(_ROUND_S)

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish())
        yield
        publishing.cancel()


def _trouble(number: int) -> Iterator[Sent]:
    """What a day has beside conversations: repetitions, faults of publishers, refusals, a campaign."""
    now, phones = (
        int(time.time()),
        {ending: f"491710{number:03}{ending}" for ending in (_WELL, _REFUSED, _CLOSED)},
    )
    inbound = {
        "wamid": f"wamid.repeated.{number}",
        "wa_id": phones[_WELL],
        "timestamp": now,
        "phone_number_id": NUMBER,
        "message_text": "a character that no text may have: \x00",
    }
    yield "wa.inbound", phones[_WELL], inbound
    yield "wa.inbound", phones[_WELL], inbound
    yield "wa.inbound", phones[_WELL], {"message_text": "nobody knows from whom"}
    for ending in (_REFUSED, _CLOSED):
        yield "wa.outbound", f"reply.{phones[ending]}", _reply(phones[ending])
    yield (
        "wa.broadcast",
        "campaign.launch",
        {
            "campaign_id": f"campaign {number}",
            "phone_number_id": NUMBER,
            "template": {"name": "welcome", "language": "en"},
            "batch_delay_ms": 100,
            "recipients": [{"wa_id": f"491720{number:03}{ending}"} for ending in (_WELL, _REFUSED)],
        },
    )


def _reply(phone: str) -> dict[str, Any]:
    return {
        "wa_id": phone,
        "phone_number_id": NUMBER,
        "client_message_id": f"reply to {phone}",
        "message_text": "hi",
    }
