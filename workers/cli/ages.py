"""Ages on the command line: `90s` or `90`, `15m`, `2h`, `3d`, in and out."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isinf
from typing import Final

import click

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Since:
    """A beginning: a time, or an age by the clock of who reads it."""

    at: datetime | None = None
    age_s: float | None = None


class SinceParam(click.ParamType[Since]):
    """An age, or a time in ISO 8601; UTC where it has no zone."""

    name = "age or time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Since:
        if (age_s := _seconds(value)) is not None:
            return Since(age_s=age_s)
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r} is neither an age, such as 2h, nor a time, such as 2026-11-26", param, ctx)
        return Since(at=at if at.tzinfo else at.replace(tzinfo=UTC))


def read_age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option: seconds, or a usage error for anything that is no age."""
    if value is None:
        return None
    if (age_s := _seconds(value)) is None:
        raise click.BadParameter(f"{value!r} is no age; write a number and s, m, h or d, such as 15m")
    return age_s


def describe_age(seconds: float) -> str:
    """The age in its largest whole unit; a time may be `-infinity`."""
    if isinf(seconds):
        return "∞"
    whole = max(0, int(seconds))
    for unit in ("d", "h", "m"):
        if whole >= _UNITS_S[unit]:
            return f"{whole // _UNITS_S[unit]}{unit}"
    return f"{whole}s"


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd]?)", text.strip().lower())
    return None if match is None else float(match[1]) * _UNITS_S[match[2] or "s"]
