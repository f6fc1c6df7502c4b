"""`python -m tests.pictures`: watches a cluster at work for some minutes, and draws every dashboard."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import Board
from tests.pictures.drawing import Drawn, draw
from tests.pictures.office import opened
from tests.pictures.series import Series, read_series
from tests.support.prometheus_server import PrometheusServer
from tests.support.promql import RULE_FILES
from tests.support.watched_cluster import Watched, watched_cluster
from tests.support.watched_shop import SHOPS
from tests.support.watched_traffic import PAUSE, SET_ASIDE, launch

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "pictures"
_LENGTH_S: Final = 240
#: Seconds after the start: a campaign to so many; the Cloud API fails, and works again.
_CAMPAIGN_AT, _RECIPIENTS = 60, 400
_FAILS_AT, _WORKS_AT = 130, 150
_FAULT: Final = {"code": 131000, "http_status": 500}


def main() -> None:
    """Write a file for each dashboard."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        watched_cluster(Path(folder), RULE_FILES, SHOPS) as watched,
    ):
        drawn = asyncio.run(_watch(watched))
    for board in BOARDS:
        path = FOLDER / f"{board.name}.png"
        draw(board, drawn, path)
        sys.stdout.write(f"{path}: {path.stat().st_size // 1000} kB\n")


async def _watch(watched: Watched) -> Drawn:
    began = time.time()
    await watched.execute(SET_ASIDE)
    await watched.execute(PAUSE)
    async with opened(watched):
        await asyncio.sleep(_CAMPAIGN_AT)
        phones = [f"49173{place:05}000" for place in range(_RECIPIENTS)]
        await watched.publish(launch("spring offer", phones, batch_size=10))
        await asyncio.sleep(began + _FAILS_AT - time.time())
        await watched.set_api(_FAULT)
        await asyncio.sleep(_WORKS_AT - _FAILS_AT)
        await watched.set_api(None)
        await asyncio.sleep(began + _LENGTH_S - time.time())
        ended = time.time()
        series = {board.name: await _read(watched.prometheus, board, began, ended) for board in BOARDS}
    return Drawn(began, ended, series)


async def _read(
    prometheus: PrometheusServer, board: Board, began: float, ended: float
) -> dict[str, list[Series]]:
    """The series of each panel, by its title."""
    return {
        panel.title: [
            series
            for legend, expr in panel.queries.items()
            for series in await read_series(prometheus, legend, expr, began, ended)
        ]
        for panel in board.panels
    }


if __name__ == "__main__":
    main()
