"""Plays rows by columns in turn, and collects what was measured."""

import os
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis

from shared.amqp.client import open_session
from tests.bench import draining, together, waiting_times
from tests.bench.columns import CELERY, COLUMNS, DRAMATIQ, FASTSTREAM, FRAMES, PIKA, Column
from tests.bench.figures import Figure, Measured
from tests.bench.ground import Ground
from tests.bench.sweeps import sweep
from tests.bench.work import Work

#: Messages a second at which latency is measured: 200 of all, then more as far as a column keeps up.
_LOADS: Final = {
    FRAMES: (200, 1000, 3000),
    PIKA: (200, 1000),
    FASTSTREAM: (200, 1000),
}
_FULL_LOADS: Final = {
    FRAMES: (200, 500, 1000, 2000, 3000, 5000),
    PIKA: (200, 500, 1000, 2000),
    FASTSTREAM: (200, 500, 1000),
    CELERY: (200, 500),
    DRAMATIQ: (200, 500),
}
_LATENCY: Final = "latency"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What of it is played. `share`: of the messages of each; `rows`, `columns`: None for all."""

    rounds: int
    share: float
    rows: frozenset[str] | None
    columns: frozenset[str] | None
    is_full: bool

    def has(self, row: str, column: Column) -> bool:
        """Whether this is played."""
        return (self.rows is None or row in self.rows) and (
            self.columns is None or column.name in self.columns
        )


async def compare(place: Ground, plan: Plan, tell: Tell, keep: Callable[[Measured], None]) -> Measured:
    """Play all of it; `tell` hears of each measurement, `keep` gets what there is after each round."""
    began = time.monotonic()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    measured = Measured(await _machine(place), now)
    await draining.declare_queues(place)
    for turn in range(1, plan.rounds + 1):
        for row, column, measure in _cells(place, plan):
            started = time.monotonic()
            figure = await measure()
            measured.rows.setdefault(row, {}).setdefault(column.name, []).append(figure)
            took = time.monotonic() - started
            tell(
                f"{_clock(began)} round {turn} of {plan.rounds}, {row}, {column.label}: {figure.per_s:,.0f}/s"
                f" ({took:.0f} s)"
            )
        for column, loads in (_FULL_LOADS if plan.is_full else _LOADS).items():
            if plan.has(_LATENCY, column):
                found = await waiting_times.measure(place, column, loads, waiting_times.LOAD_S * plan.share)
                for load, latency in zip(loads, found, strict=True):
                    measured.latency.setdefault(column.name, {}).setdefault(str(load), []).append(latency)
                tell(f"{_clock(began)} round {turn} of {plan.rounds}, latency, {column.label}")
        measured.rounds, measured.seconds = turn, time.monotonic() - began
        keep(measured)
    if plan.is_full:
        await sweep(place, measured, plan.rounds, plan.share, lambda line: tell(f"{_clock(began)} {line}"))
        measured.seconds = time.monotonic() - began
        keep(measured)
    return measured


def _cells(place: Ground, plan: Plan) -> list[tuple[str, Column, Callable[[], Awaitable[Figure]]]]:
    """Row, column and what measures it, in the order in which they are played."""
    cells: list[tuple[str, Column, Callable[[], Awaitable[Figure]]]] = [
        (work.value, column, partial(draining.measure, place, column, work, plan.share))
        for work in Work
        for column in COLUMNS
        if work in column.messages
    ]
    for column in (FRAMES, PIKA):
        cells.append(("campaign", column, partial(together.measure_campaign, place, column, plan.share)))
        cells.append(("mixed", column, partial(together.measure_mixed, place, column, plan.share)))
    return [cell for cell in cells if plan.has(cell[0], cell[1])]


def _clock(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"{minutes:2}:{seconds:02}"


async def _machine(place: Ground) -> dict[str, Any]:
    """What it was measured on. `load`: before it began."""
    load = round(os.getloadavg()[0], 1)
    connection = await asyncpg.connect(place.database_url)
    postgres = str(await connection.fetchval("show server_version")).split()[0]
    await connection.close()
    async with Redis.from_url(place.redis_url) as redis:
        redis_version = (await redis.info("server"))["redis_version"]
    async with open_session(place.rabbitmq_url) as session:
        rabbitmq = session.server_version
    return {
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
        "load": load,
        "Python": platform.python_version(),
        "RabbitMQ": rabbitmq,
        "PostgreSQL": postgres,
        "Redis": redis_version,
    }


def _processor() -> str:
    """As Linux names it; empty where it does not."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
