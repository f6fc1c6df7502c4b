"""Draws a dashboard: its panels on Grafana's grid, each with its title, unit, values and legend."""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from deploy.grafana.model import COLUMNS, build_model
from deploy.grafana.panels import Board, Kind, Panel
from tests.pictures.series import Series
from tests.pictures.units import in_words

#: Pixels of a cell of the grid, and between panels.
_CELL: Final = (62, 40)
_GAP: Final = 10
_HEAD: Final = 64
_DPI: Final = 100
_LEGEND_LINES: Final = 6
#: More lines than these hide each other where what is below them is coloured.
_FILLED: Final = 3
_COLORS: Final = {"green": "#56a64b", "orange": "#ff9830", "red": "#e02f44", "blue": "#3274d9"}
_PALETTE: Final = (
    *(
        "#3274d9",
        "#56a64b",
        "#e0b400",
        "#e02f44",
        "#8f3bb8",
        "#ff780a",
        "#37872d",
        "#1250b0",
        "#c4162a",
        "#a352cc",
    ),
)
_INK: Final = "#24292e"
_FAINT: Final = "#6e7680"
#: So many colours are enough for lines on white, and make a file a third as large.
_FILE_COLORS: Final = 48


@dataclass(frozen=True, slots=True)
class Drawn:
    """From when to when, epoch seconds; and of each board, by name, each panel's series, by title."""

    began: float
    ended: float
    series: dict[str, dict[str, list[Series]]]


def draw(board: Board, drawn: Drawn, path: Path) -> None:
    """Write a dashboard's picture."""
    places = [panel["gridPos"] for panel in build_model(board)["panels"]]
    width = COLUMNS * _CELL[0]
    height = _HEAD + max(place["y"] + place["h"] for place in places) * _CELL[1]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="#f4f5f5")
    figure.text(_GAP / width, 1 - 24 / height, board.title, size=15, weight="bold", color=_INK, va="center")
    figure.text(_GAP / width, 1 - 48 / height, board.about, size=10, color=_FAINT, va="center")
    for panel, place in zip(board.panels, places, strict=True):
        box = _box(place, width, height)
        figure.patches.append(
            Rectangle(
                box[:2],
                *box[2:],
                transform=figure.transFigure,
                zorder=-2,
                facecolor="white",
                edgecolor="#dde1e6",
            )
        )
        _draw_panel(figure, panel, drawn.series[board.name][panel.title], box, drawn)
    _save(figure, path)


Box = tuple[float, float, float, float]


def _box(place: dict[str, int], width: int, height: int) -> Box:
    """Left, bottom, width and height of a panel, as shares of the figure."""
    left, top = place["x"] * _CELL[0] + _GAP / 2, _HEAD + place["y"] * _CELL[1] + _GAP / 2
    wide, high = place["w"] * _CELL[0] - _GAP, place["h"] * _CELL[1] - _GAP
    return left / width, 1 - (top + high) / height, wide / width, high / height


def _draw_panel(figure: Figure, panel: Panel, series: Sequence[Series], box: Box, drawn: Drawn) -> None:
    left, bottom, wide, high = box
    pixel = (1 / (figure.get_figwidth() * _DPI), 1 / (figure.get_figheight() * _DPI))
    figure.text(
        left + 8 * pixel[0],
        bottom + high - 14 * pixel[1],
        panel.title,
        size=9.5,
        weight="bold",
        color=_INK,
        va="center",
    )
    if panel.kind is Kind.NUMBER:
        _draw_number(figure, panel, series, box, pixel)
        return
    legend = 0 if panel.kind is Kind.STATES else 15 * min(len(series), _LEGEND_LINES) + 14
    margin = 92 if panel.kind is Kind.STATES else 62
    axes = figure.add_axes(
        (
            left + margin * pixel[0],
            bottom + (28 + legend) * pixel[1],
            wide - (margin + 14) * pixel[0],
            high - (58 + legend) * pixel[1],
        )
    )
    _dress(axes, drawn)
    if panel.kind is Kind.STATES:
        _draw_states(axes, panel, series)
    else:
        _draw_lines(axes, panel, series)
        _write_legend(figure, panel, series, box, pixel)


def _dress(axes: Any, drawn: Drawn) -> None:
    axes.set_xlim(drawn.began, drawn.ended)
    axes.xaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: time.strftime("%H:%M:%S", time.gmtime(at))))
    axes.tick_params(labelsize=7.5, colors=_FAINT, length=0)
    axes.grid(color="#e5e8eb", linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_lines(axes: Any, panel: Panel, series: Sequence[Series]) -> None:
    for place, line in enumerate(series):
        color = _PALETTE[place % len(_PALETTE)]
        axes.plot(line.times, line.values, color=color, linewidth=1.2)
        if len(series) <= _FILLED:
            axes.fill_between(line.times, line.values, color=color, alpha=0.08, linewidth=0)
    top = max((line.largest for line in series if line.largest == line.largest), default=0.0)
    axes.set_ylim(0, top * 1.1 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value, panel.unit)))


def _write_legend(
    figure: Figure, panel: Panel, series: Sequence[Series], box: Box, pixel: tuple[float, float]
) -> None:
    """Names with the last and the largest value, the largest first, as many as there is room for."""
    left, bottom, wide, _ = box
    colored = sorted(
        zip(series, (_PALETTE[n % len(_PALETTE)] for n in range(len(series))), strict=True),
        key=lambda pair: pair[0].largest,
        reverse=True,
    )
    shown, hidden = colored[:_LEGEND_LINES], len(colored) - _LEGEND_LINES
    top = bottom + (15 * len(shown) + 12) * pixel[1]
    columns = (left + wide - 104 * pixel[0], left + wide - 12 * pixel[0])
    for column, name in zip(columns, ("last", "max"), strict=True):
        figure.text(column, top, name, size=7, color=_FAINT, ha="right", va="center")
    if hidden > 0:
        figure.text(left + 12 * pixel[0], top, f"{hidden} more not listed", size=7, color=_FAINT, va="center")
    for place, (line, color) in enumerate(shown, 1):
        height = top - 15 * place * pixel[1]
        figure.text(left + 12 * pixel[0], height, "\u25ac", size=8, color=color, va="center")
        figure.text(left + 28 * pixel[0], height, line.legend or "value", size=8, color=_INK, va="center")
        for column, value in zip(columns, (line.last, line.largest), strict=True):
            text = in_words(value, panel.unit)
            figure.text(column, height, text, size=8, color=_INK, ha="right", va="center")


def _draw_number(
    figure: Figure, panel: Panel, series: Sequence[Series], box: Box, pixel: tuple[float, float]
) -> None:
    """The last value, on the colour of its step."""
    left, bottom, wide, high = box
    value = series[0].last if series else float("nan")
    color = next(color for start, color in reversed(panel.steps) if start is None or value >= start)
    figure.patches.append(
        Rectangle(
            (left + 8 * pixel[0], bottom + 8 * pixel[1]),
            wide - 16 * pixel[0],
            high - 36 * pixel[1],
            transform=figure.transFigure,
            zorder=-1,
            facecolor=_COLORS[color],
        )
    )
    figure.text(
        left + wide / 2,
        bottom + (high - 20 * pixel[1]) / 2,
        in_words(value, panel.unit),
        size=26,
        weight="bold",
        color="white",
        ha="center",
        va="center",
    )


def _draw_states(axes: Any, panel: Panel, series: Sequence[Series]) -> None:
    """A bar for each series, a piece of it for each value, with the value's word."""
    for row, line in enumerate(series):
        start = 0
        for end in range(1, len(line.values) + 1):
            if end == len(line.values) or line.values[end] != line.values[start]:
                _draw_state(axes, panel, line, row, start, end)
                start = end
    axes.set_yticks(range(len(series)), [line.legend for line in series], size=8, color=_INK)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.grid(visible=False)


def _draw_state(axes: Any, panel: Panel, line: Series, row: int, start: int, end: int) -> None:
    value = line.values[start]
    if value != value:
        return
    word, color = panel.words[int(value)]
    begin, width = line.times[start], line.times[min(end, len(line.times) - 1)] - line.times[start]
    axes.barh(row, width, left=begin, height=0.7, color=_COLORS[color], alpha=0.85)
    if width > 0.08 * (line.times[-1] - line.times[0]):
        axes.text(begin + width / 2, row, word, size=8, color="white", ha="center", va="center")


def _save(figure: Figure, path: Path) -> None:
    """As a PNG of few colours."""
    with io.BytesIO() as drawn:
        figure.savefig(drawn, format="png", dpi=_DPI, facecolor=figure.get_facecolor())
        image = Image.open(drawn).convert("RGB")
    image.quantize(_FILE_COLORS).save(path, optimize=True)
