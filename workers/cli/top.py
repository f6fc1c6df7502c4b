"""`wabus top`: everything at one glance, live on a terminal, once for files and programs.

Owns the options and the JSON. What is asked is `shared.messaging.overview`'s, what a page looks like is
`workers.cli.overview`'s.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from shared.amqp.management import QueueRates
from shared.messaging.overview.overview import Overview, open_overview
from shared.messaging.overview.queues import QueueLine
from shared.settings.settings import Settings
from workers.cli.campaign_view import describe_campaign
from workers.cli.operation import json_option, read_settings, silence_logs
from workers.cli.overview.layout import PageSize, lay_out
from workers.cli.overview.live import show_live
from workers.cli.overview.sections import describe_head, describe_sections
from workers.cli.printing import open_console, print_json
from workers.registry import PROGRAMS

T = TypeVar("T")

_EPILOG: Final = """\b
Example:
  wabus top
  wabus top --once
  wabus top --once --json"""
#: Between the two looks from which a single page tells a rate.
_BETWEEN_S: Final = 1.0


@click.command(epilog=_EPILOG)
@click.option("--once", is_flag=True, help="One page, and end. So it is where there is no terminal.")
@json_option
def top(once: bool, as_json: bool) -> None:
    """Show queues, workers, numbers, campaigns and dead letters on one page, anew every two seconds.

    The keys 1 to 5 lead into a section, Esc leads back, the arrows scroll, q or Ctrl-C ends it. A server that
    is away is named, with the age of what it told last; the rest goes on.

    --json implies --once. A single page exits 1 where a server is away. Nothing is changed.
    """
    silence_logs()
    settings = read_settings()
    console = open_console()
    if not (once or as_json) and _is_live(console):
        with suppress(KeyboardInterrupt):
            asyncio.run(_watch(settings, console))
    elif not asyncio.run(_show_once(settings, console, as_json=as_json)):
        raise SystemExit(1)


def _is_live(console: Console) -> bool:
    """Whether there is a terminal to draw on, and one for keys."""
    return sys.stdout.isatty() and not console.is_dumb_terminal and sys.stdin.isatty()


async def _watch(settings: Settings, console: Console) -> None:
    async with open_overview(settings, _consumed()) as overview:
        await show_live(overview, settings, console)


async def _show_once(settings: Settings, console: Console, *, as_json: bool) -> bool:
    """Whether every server answered."""
    async with open_overview(settings, _consumed()) as overview:
        await asyncio.gather(*(source.look() for source in overview.sources))
        if overview.queues.error is None:
            await asyncio.sleep(_BETWEEN_S)
            await overview.queues.look()
        if as_json:
            print_json(_describe(overview, settings))
        else:
            page = lay_out(
                describe_head(overview), describe_sections(overview, settings), PageSize(console.width)
            )
            console.print(*page, sep="\n", soft_wrap=True)
        return all(source.error is None for source in overview.sources)


def _consumed() -> dict[str, tuple[str, ...]]:
    return {program.name: program.queues for program in PROGRAMS}


def _describe(overview: Overview, settings: Settings) -> dict[str, Any]:
    """`--json`. What a server that is away would tell is null."""
    work, rates = overview.work.value, overview.rates
    told = {} if rates is None or rates.value is None else rates.value
    return {
        "at": datetime.now(UTC),
        "sources": [
            {"source": source.name, "server": source.server, "error": source.error}
            for source in overview.sources
        ],
        "queues": _each(overview.queues.value, lambda line: _describe_queue(line, told)),
        "deferred": None if work is None else [asdict(item) for item in work.backlog.deferred],
        "work": None if work is None else asdict(work.pace) | {"unpublished_s": work.backlog.unpublished_s},
        "rows_set_aside": None if work is None else work.backlog.set_aside,
        "workers": [asdict(line) for line in overview.workers],
        "numbers": _each(
            overview.numbers.value,
            lambda item: asdict(item) | {"mps": settings.number(item.phone_number_id).mps},
        ),
        "campaigns": _each(overview.campaigns.value, describe_campaign),
        "dead_letters": overview.dead_letters.value,
    }


def _each(values: Sequence[T] | None, describe: Callable[[T], dict[str, Any]]) -> list[dict[str, Any]] | None:
    return None if values is None else [describe(value) for value in values]


def _describe_queue(line: QueueLine, rates: Mapping[str, QueueRates]) -> dict[str, Any]:
    rate = rates.get(line.queue)
    nothing = {"in_per_s": None, "out_per_s": None, "in_hand": None}
    return asdict(line) | (nothing if rate is None else asdict(rate))
