"""What was measured, as values, and as the JSON that programs read."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import orjson

#: Version of the JSON's shape.
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: messages a second, CPU of the program for each in ms, its memory in MB at the end."""

    per_s: float
    cpu_ms: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From when a message was due to its arrival behind the worker, in ms, at a rate offered."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float


@dataclass(slots=True)
class Measured:
    """All of a run. `rows`: row → column → a figure a round; `latency`: column → messages a second → a round.

    `sweeps`: what was varied → its value → a figure a round. `memory_mb`: of one worker, a minute each.
    """

    machine: Mapping[str, str | int | float]
    began: str
    rounds: int = 0
    seconds: float = 0.0
    rows: dict[str, dict[str, list[Figure]]] = field(default_factory=dict)
    latency: dict[str, dict[str, list[Latency]]] = field(default_factory=dict)
    sweeps: dict[str, dict[str, list[Figure]]] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the JSON."""
        content = {"format": _FORMAT} | asdict(self)
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote. Raises ValueError where it is another format's."""
        said: dict[str, Any] = orjson.loads(path.read_bytes())
        if said.pop("format", None) != _FORMAT:
            raise ValueError(f"{path} is not of format {_FORMAT}")
        for name, kind in (("rows", Figure), ("latency", Latency), ("sweeps", Figure)):
            for line in said[name].values():
                for column, rounds in line.items():
                    line[column] = [kind(**one) for one in rounds]
        return cls(**said)


def median_of(rounds: Sequence[Figure | Latency], name: str) -> float:
    """Of one field of the rounds' figures."""
    return float(statistics.median(getattr(one, name) for one in rounds))


def ratio_of(ours: Sequence[Figure], theirs: Sequence[Figure]) -> float:
    """The median of the rounds' ratios: what a machine that slows down does to both is not in it."""
    return statistics.median(our.per_s / their.per_s for our, their in zip(ours, theirs, strict=True))
