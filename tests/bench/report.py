"""The figures of a run for people: ratios first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.bench.columns import COLUMNS, FRAMES
from tests.bench.figures import Figure, Latency, Measured, median_of, ratio_of

LABELS: Final = {column.name: column.label for column in COLUMNS}
#: What a row's figures count.
UNITS: Final = {
    "inbound": "messages",
    "statuses": "statuses",
    "outbound": "sends",
    "campaign": "recipients",
    "mixed": "messages",
}


def lines(measured: Measured) -> Iterator[str]:
    """The whole report."""
    machine = ", ".join(f"{name} {value}" for name, value in measured.machine.items())
    took = f"{measured.seconds / 60:.0f} min"
    yield f"{measured.began}, {took}, {measured.rounds} rounds in turn, medians; {machine}"
    if any(FRAMES.name in row for row in measured.rows.values()):
        yield from _ratios(measured.rows)
    for row, columns in measured.rows.items():
        yield f"\n{row}: {UNITS[row]}/s, the slowest and the fastest round; CPU ms each; MB"
        for name, figures in columns.items():
            yield _figure_line(LABELS[name], figures)
    if measured.latency:
        yield "\nlatency: messages/s offered; from due to arrival in ms: p50, p95, p99, p99.9"
        for name, loads in measured.latency.items():
            for load, rounds in loads.items():
                yield _latency_line(f"{_label(name)} at {load}", rounds)
    for varied, values in measured.sweeps.items():
        yield f"\n{FRAMES.label}, inbound, by {varied}; messages/s; CPU ms each; MB"
        for value, figures in values.items():
            yield _figure_line(value, figures)
    if measured.memory_mb:
        each = ", ".join(f"{item:.0f}" for item in measured.memory_mb)
        yield f"\nmemory of one worker under a steady load, MB, minute by minute: {each}"


def _label(name: str) -> str:
    """Of a column, with what was varied behind a comma."""
    column, comma, varied = name.partition(",")
    return LABELS[column] + comma + varied


def _ratios(rows: Mapping[str, Mapping[str, Sequence[Figure]]]) -> Iterator[str]:
    yield f"\n{FRAMES.label} as a multiple of"
    names = [name for name in LABELS if name != FRAMES.name and any(name in row for row in rows.values())]
    yield f"{'':34}" + "".join(f"{row:>11}" for row in rows)
    for name in names:
        cells = [
            f"{ratio_of(row[FRAMES.name], row[name]):11.2f}"
            if {name, FRAMES.name} <= row.keys()
            else f"{'-':>11}"
            for row in rows.values()
        ]
        yield f"{LABELS[name]:34}" + "".join(cells)


def _figure_line(label: str, rounds: Sequence[Figure]) -> str:
    per_s = sorted(one.per_s for one in rounds)
    return (
        f"{label:34}{median_of(rounds, 'per_s'):9,.0f} ({per_s[0]:,.0f} to {per_s[-1]:,.0f})"
        f"{median_of(rounds, 'cpu_ms'):9.3f}{median_of(rounds, 'memory_mb'):7.0f}"
    )


def _latency_line(label: str, rounds: Sequence[Latency]) -> str:
    cuts: Sequence[Any] = ("p50_ms", "p95_ms", "p99_ms", "p999_ms")
    return f"{label:34}" + "".join(f"{median_of(rounds, cut):9,.1f}" for cut in cuts)
