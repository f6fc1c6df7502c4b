"""Time zones by name and by phone, from the pinned `tzdata`, whatever the machine has installed."""

from functools import lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number

#: A phone in more zones than these says nothing of when its owner sleeps.
MOST_ZONES: Final = 8
_NAMES: Final = frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def read_zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name; None for a name that is none."""
    if name not in _NAMES:
        return None
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=65_536)
def zones_of_phone(customer: str) -> tuple[ZoneInfo, ...]:
    """The zones in which a phone may be, by its prefix; none where there are too many, or it is no phone."""
    if not customer.isdigit():
        return ()
    try:
        number = phonenumbers.parse(f"+{customer}")
    except phonenumbers.NumberParseException:
        return ()
    names = [name for name in time_zones_for_geographical_number(number) if name != UNKNOWN_TIMEZONE]
    zones = tuple(zone for name in names if (zone := read_zone(name)) is not None)
    return zones if len(zones) <= MOST_ZONES else ()


def country_of(customer: str) -> str | None:
    """Two capitals, of a phone or of a business-scoped id; None where it cannot be told."""
    if not customer.isdigit():
        return customer[:2]
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(f"+{customer}"))
    except phonenumbers.NumberParseException:
        return None
