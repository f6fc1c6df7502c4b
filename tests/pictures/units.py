"""A number with its unit, as Grafana writes it."""

from collections.abc import Sequence
from typing import Final

_BYTES: Final = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_SECONDS: Final = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_THOUSANDS: Final = ((1e6, "M"), (1e3, "K"), (1.0, ""))
#: What is counted each second, by Grafana's name of the unit.
_PER_SECOND: Final = {"mps": "msg/s", "reqps": "req/s", "eps": "events/s", "cps": "/s", "ops": "ops/s"}


def in_words(value: float, unit: str) -> str:
    """`unit` is Grafana's name of one. A dash stands for no number."""
    if value != value:
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in _PER_SECOND:
        return f"{_scaled(value, _THOUSANDS)} {_PER_SECOND[unit]}".replace(" /s", "/s")
    return _scaled(value, {"bytes": _BYTES, "s": _SECONDS}.get(unit, _THOUSANDS))


def _scaled(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """In the largest part of the scale that it reaches."""
    if not value:
        return "0"
    size, name = next(((size, name) for size, name in scale if abs(value) >= size), scale[-1])
    return f"{value / size:.3g} {name}".rstrip()
