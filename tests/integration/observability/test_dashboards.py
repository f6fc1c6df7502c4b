"""Every query of every panel is asked of a real Prometheus that scraped working workers, and gives data."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.grafana.boards import BOARDS
from tests.support.prometheus_server import PrometheusServer
from tests.support.promql import RULE_FILES
from tests.support.waiting import until
from tests.support.watched_cluster import Watched, watched_cluster
from tests.support.watched_shop import SHOPS
from tests.support.watched_traffic import PAUSE, SET_ASIDE, traffic

#: Grafana would fill in four of its scrapes' intervals; here a few of the faster ones.
_INTERVAL: Final = "20s"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Everything that an operator has, objectives too."""
    with watched_cluster(tmp_path_factory.mktemp("watched"), RULE_FILES, SHOPS) as cluster:
        yield cluster


async def test_every_query_of_every_panel_gives_data(watched: Watched) -> None:
    empty = {
        (f"{board.title}: {panel.title}", legend, expr)
        for board in BOARDS
        for panel in board.panels
        for legend, expr in panel.queries.items()
    }
    await watched.execute(SET_ASIDE)
    await watched.execute(PAUSE)

    async def all_have_given_data() -> bool:
        for query in sorted(empty):
            if await _gives_data(watched.prometheus, *query[1:]):
                empty.remove(query)
        return not empty

    async with traffic(watched):
        await until(all_have_given_data)


async def _gives_data(prometheus: PrometheusServer, legend: str, expr: str) -> bool:
    """Whether there is a number for each legend's labels."""
    found = await prometheus.query(expr.replace("$__rate_interval", _INTERVAL))
    named = set(re.findall(r"\{\{(\w+)\}\}", legend))
    return any(series["value"][1] != "NaN" and series["metric"].keys() >= named for series in found)
