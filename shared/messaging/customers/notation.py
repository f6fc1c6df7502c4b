"""Which notations of a phone are equal by rule, and which of them WhatsApp itself writes. Pure.

Owns the rule; `platform_notation` in PostgreSQL is its twin (migration 002). Brazil's mobile numbers have a
ninth digit that WhatsApp drops in areas from 31 up; Mexico's have a 1 after the country code, Argentina's 9.
"""

import re
from typing import Final, Literal

AddressKind = Literal["phone", "bsuid", "parent_bsuid"]

#: Countries where a phone has two notations.
_COUNTRIES: Final = ("55", "52", "54")
_BRAZIL: Final = re.compile(r"(55)([1-9][0-9])9?([6-9][0-9]{7})")
_MEXICO: Final = re.compile(r"521?([2-9][0-9]{9})")
_ARGENTINA: Final = re.compile(r"549?([1-8][0-9]{9})")
#: Brazilian areas up to this one keep the ninth digit.
_LAST_AREA_WITH_NINTH: Final = "30"


def notations(address: str) -> tuple[str, ...]:
    """All notations of an address, WhatsApp's own first; an id, and most phones, have one."""
    if not address.startswith(_COUNTRIES):
        return (address,)
    if match := _BRAZIL.fullmatch(address):
        country, area, rest = match.groups()
        long, short = f"{country}{area}9{rest}", f"{country}{area}{rest}"
        return (long, short) if area <= _LAST_AREA_WITH_NINTH else (short, long)
    if match := _MEXICO.fullmatch(address):
        return f"521{match[1]}", f"52{match[1]}"
    if match := _ARGENTINA.fullmatch(address):
        return f"549{match[1]}", f"54{match[1]}"
    return (address,)


def platform_notation(address: str) -> str:
    """The address as WhatsApp writes it: one key for all its notations."""
    return notations(address)[0]


def kind_of(address: str) -> AddressKind:
    """What an address is, by its form."""
    if address.isdigit():
        return "phone"
    return "parent_bsuid" if address[2:].startswith(".ENT.") else "bsuid"


def is_phone(address: str) -> bool:
    """Whether it is a phone number."""
    return address.isdigit()
