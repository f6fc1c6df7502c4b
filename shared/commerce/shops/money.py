"""Arithmetic on amounts of one currency, exact to the digit. Pure.

Owns that equal amounts written differently (`5.0`, `5.00`) are told apart the same way in every order.
"""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Final

ZERO: Final = Decimal(0)
#: 200 items of 15 + 4 digits fit, whatever they cost.
_DIGITS: Final = 40


def add(amounts: Iterable[Decimal]) -> Decimal:
    """Their sum, without rounding."""
    with localcontext() as context:
        context.prec = _DIGITS
        return sum(amounts, ZERO)


def subtract(amount: Decimal, other: Decimal) -> Decimal:
    """What is left, without rounding."""
    with localcontext() as context:
        context.prec = _DIGITS
        return amount - other


def largest(*amounts: Decimal) -> Decimal:
    """The greatest; of equal ones the one with most digits, in whatever order they come."""
    return max(amounts, key=lambda amount: (amount, -_exponent(amount)))


def smallest(*amounts: Decimal) -> Decimal:
    """The least; of equal ones the one with most digits."""
    return min(amounts, key=lambda amount: (amount, _exponent(amount)))


def from_minor_units(units: int | str, decimals: int) -> Decimal:
    """1290 with 2 decimals is 12.90. ValueError where it is no whole number of units."""
    return Decimal(int(units)).scaleb(-decimals)


def _exponent(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)  # no amount is infinite
    return exponent
