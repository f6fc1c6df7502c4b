"""What a panel's query gave over time, with the legend that Grafana would write."""

import re
from dataclasses import dataclass
from typing import Final

from tests.support.prometheus_server import PrometheusServer

#: Grafana would fill in four of its scrapes' intervals; here a few of the faster ones.
_INTERVAL: Final = "20s"
_STEP_S: Final = 2.0
_LABEL: Final = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a graph: epoch seconds, and the value at each, NaN where there is none."""

    legend: str
    times: list[float]
    values: list[float]

    @property
    def last(self) -> float:
        """The newest number; NaN where there never was one."""
        return next((value for value in reversed(self.values) if value == value), float("nan"))

    @property
    def largest(self) -> float:
        """The largest number."""
        return max((value for value in self.values if value == value), default=float("nan"))


async def read_series(
    prometheus: PrometheusServer, legend: str, expr: str, began: float, ended: float
) -> list[Series]:
    """Every series of a query, by its legend."""
    expr = expr.replace("$__rate_interval", _INTERVAL)
    found = await prometheus.query_range(expr, began, ended, _STEP_S)
    return sorted(
        (_read(legend, item["metric"], item["values"], began, ended) for item in found), key=_by_legend
    )


def _read(
    legend: str, labels: dict[str, str], samples: list[tuple[float, str]], began: float, ended: float
) -> Series:
    """With NaN for each step without a sample: a line has a gap there."""
    values = {round((at - began) / _STEP_S): float(value) for at, value in samples}
    steps = range(int((ended - began) / _STEP_S) + 1)
    name = _LABEL.sub(lambda match: labels.get(match[1], ""), legend)
    return Series(
        name, [began + step * _STEP_S for step in steps], [values.get(step, float("nan")) for step in steps]
    )


def _by_legend(series: Series) -> str:
    return series.legend
