"""Ages on the command line: `90s` or `90`, `15m`, `2h`, `3d`, in and out."""

import re
from typing import Final

import click

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option: seconds, or a usage error for anything that is no age."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd]?)", value.strip().lower())
    if match is None:
        raise click.BadParameter(f"{value!r} is no age; write a number and s, m, h or d, such as 15m")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def describe_age(seconds: float) -> str:
    """The age in its largest whole unit."""
    whole = max(0, int(seconds))
    for unit in ("d", "h", "m"):
        if whole >= _UNITS_S[unit]:
            return f"{whole // _UNITS_S[unit]}{unit}"
    return f"{whole}s"
