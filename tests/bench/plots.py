"""Draws the figures of a run: `python -m tests.bench.plots FIGURES.json [FOLDER]`.

Three pictures for the README: rates of a row by who did the work, waits by load, and ratios.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure as Sheet
from PIL import Image

from tests.bench.columns import COLUMNS, FRAMES, PIKA
from tests.bench.figures import Figure, Measured, median_of, ratio_of
from tests.bench.report import LABELS, UNITS

FOLDER: Final = Path(__file__).resolve().parent / "pictures"
_DPI: Final = 100
_WIDTH: Final = 9.0
_INK: Final = "#24292e"
_OURS: Final = "#3274d9"
_THEIRS: Final = "#b0b7bf"
_LINES: Final = {"p50_ms": "#9ec1f0", "p95_ms": "#3274d9", "p99_ms": "#1b3f77", "p999_ms": "#e0752d"}
#: Where the scale of waits begins.
_SHORTEST_MS: Final = 0.5
#: So many colours are enough, and make a file a third as large.
_FILE_COLORS: Final = 32


def draw(measured: Measured, folder: Path) -> list[Path]:
    """Write a picture of each kind that there are figures for."""
    folder.mkdir(exist_ok=True)
    sheets = {"rates": _draw_rates(measured.rows), "ratios": _draw_ratios(measured.rows)}
    if measured.latency:
        sheets["latency"] = _draw_latency(measured)
    if measured.sweeps:
        sheets["sweeps"] = _draw_sweeps(measured)
    return [_save(sheet, folder / f"{name}.png") for name, sheet in sheets.items()]


Rows = dict[str, dict[str, list[Figure]]]


def _draw_rates(rows: Rows) -> Sheet:
    sheet, axes = _sheet([len(columns) for columns in rows.values()])
    for axis, (row, columns) in zip(axes, rows.items(), strict=True):
        rates = {LABELS[name]: median_of(rounds, "per_s") for name, rounds in columns.items()}
        colors = [_color(name) for name in columns]
        _bars(axis, rates, colors, "{:,.0f}")
        axis.set_title(f"{row}: {UNITS[row]} a second", loc="left", size=10, weight="bold", color=_INK)
    return sheet


def _draw_ratios(rows: Rows) -> Sheet:
    told = {
        row: {
            LABELS[name]: ratio_of(columns[FRAMES.name], rounds)
            for name, rounds in columns.items()
            if name != FRAMES.name
        }
        for row, columns in rows.items()
        if FRAMES.name in columns and len(columns) > 1
    }
    sheet, axes = _sheet([len(ratios) for ratios in told.values()])
    for axis, (row, ratios) in zip(axes, told.items(), strict=True):
        _bars(axis, ratios, [_OURS] * len(ratios), "{:.2f} x")
        axis.axvline(1, color=_INK, linewidth=0.8)
        title = f"{row}: {FRAMES.label} as a multiple of"
        axis.set_title(title, loc="left", size=10, weight="bold", color=_INK)
    return sheet


def _draw_latency(measured: Measured) -> Sheet:
    names = [column.name for column in COLUMNS if column.name in measured.latency]
    sheet, axes = _sheet([len(measured.latency[name]) * len(_LINES) for name in names])
    loads = [rounds for name in names for rounds in measured.latency[name].values()]
    longest_ms = max(median_of(rounds, cut) for rounds in loads for cut in _LINES)
    for axis, name in zip(axes, names, strict=True):
        bars = {
            f"{load}/s, {cut.removesuffix('_ms').replace('p999', 'p99.9')}": median_of(rounds, cut)
            for load, rounds in measured.latency[name].items()
            for cut in _LINES
        }
        _bars(axis, bars, list(_LINES.values()) * len(measured.latency[name]), "{:,.1f} ms")
        axis.set_xscale("log")
        axis.set_xlim(_SHORTEST_MS, longest_ms * 2)
        axis.set_xticks([], minor=True)
        axis.set_xticks([])
        title = f"{LABELS[name]}: from due to arrival (one logarithmic scale)"
        axis.set_title(title, loc="left", size=10, weight="bold", color=_INK)
    return sheet


def _draw_sweeps(measured: Measured) -> Sheet:
    sheet, axes = _sheet([len(values) for values in measured.sweeps.values()])
    for axis, (varied, values) in zip(axes, measured.sweeps.items(), strict=True):
        rates = {value: median_of(rounds, "per_s") for value, rounds in values.items()}
        _bars(axis, rates, [_OURS] * len(rates), "{:,.0f}")
        axis.set_title(
            f"inbound messages a second, by {varied}", loc="left", size=10, weight="bold", color=_INK
        )
    return sheet


def _sheet(bars: Sequence[int]) -> tuple[Sheet, list[Any]]:
    """A sheet with a part for each group of so many bars."""
    heights = [0.55 + 0.24 * count for count in bars]
    sheet = Sheet(figsize=(_WIDTH, sum(heights)), dpi=_DPI, facecolor="white", layout="constrained")
    parts = sheet.subplots(len(bars), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    return sheet, [part[0] for part in parts]


def _bars(axis: Any, values: dict[str, float], colors: Sequence[str], form: str) -> None:
    places = range(len(values))
    axis.barh(places, list(values.values()), color=colors, height=0.72)
    axis.set_yticks(places, list(values), size=9, color=_INK)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.margins(x=0.14)
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)
    for place, value in zip(places, values.values(), strict=True):
        axis.text(value, place, " " + form.format(value), va="center", size=9, color=_INK)


def _color(name: str) -> str:
    return _OURS if name in (FRAMES.name, PIKA.name) else _THEIRS


def _save(sheet: Sheet, path: Path) -> Path:
    content = io.BytesIO()
    sheet.savefig(content, format="png", dpi=_DPI)
    content.seek(0)
    with Image.open(content) as image:
        image.convert("RGB").quantize(_FILE_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def main() -> None:
    """Draw what a file holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plots", description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    arguments = parser.parse_args()
    for path in draw(Measured.read(arguments.figures), arguments.folder):
        print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
