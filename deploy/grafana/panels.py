"""What a dashboard is made of, as values; and the two expressions that most panels share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: As far back as at least four scrapes, whatever the dashboard's time range: Grafana fills it in.
_INTERVAL: Final = "$__rate_interval"


class Kind(StrEnum):
    """How a panel is drawn, by Grafana's name."""

    LINES = "timeseries"
    NUMBER = "stat"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `about` says what is normal; `unit` is Grafana's name of one.

    `queries`: by their legends, in which `{{label}}` is a label's value. `steps`: the colour from a value on;
    the first is None, for all below. `words`: what a value is called, and its colour.
    """

    title: str
    about: str
    unit: str
    queries: Mapping[str, str]
    kind: Kind = Kind.LINES
    width: int = 8
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; its panels stand from left to right. `name` is its file's, `wabus-` and it the uid."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...]


def number(
    title: str, about: str, unit: str, expr: str, steps: tuple[tuple[float | None, str], ...], width: int = 4
) -> Panel:
    """A single value, coloured by how bad it is."""
    return Panel(title, about, unit, {"": expr}, Kind.NUMBER, width, steps)


def above(bad: float, warn: float | None = None) -> tuple[tuple[float | None, str], ...]:
    """Green, orange from `warn` on where it is given, red from `bad` on."""
    return ((None, "green"), *(() if warn is None else ((warn, "orange"),)), (bad, "red"))


def rate(counter: str, *by: str) -> str:
    """How much a counter grows in a second, by these labels. `counter` may have matchers."""
    return f"sum{_by(by)} (rate({counter}[{_INTERVAL}]))"


def quantile(share: float, histogram: str, *by: str, where: str = "") -> str:
    """The value that this share of a histogram's observations does not exceed."""
    matchers = f"{{{where}}}" if where else ""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket{matchers}', 'le', *by)})"


def mean(histogram: str, *by: str) -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', *by)} / {rate(f'{histogram}_count', *by)}"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
