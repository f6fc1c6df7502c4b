"""An amount of money as payloads carry it: exact, never negative, never rounded.

Owns the rule. A currency stands beside it in a field of its own.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema

WHOLE_DIGITS: Final = 15
FRACTION_DIGITS: Final = 4
_TEXT: Final = re.compile(rf"[0-9]{{1,{WHOLE_DIGITS}}}(?:\.[0-9]{{1,{FRACTION_DIGITS}}})?")
_LIMIT: Final = 10**WHOLE_DIGITS
#: More digits than these a double does not keep: what was written is not known any more.
_SURE_DIGITS: Final = 15
_RULE: Final = (
    f"an amount is text of digits, such as 12.90: at most {WHOLE_DIGITS} before and {FRACTION_DIGITS} after"
    " the point, not negative; a number has at most 15 digits in all"
)


def read_money(value: object) -> Decimal:
    """The amount as it was written, `12.90` with both digits. ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError(_RULE)
    match value:
        case str():
            text = value
        case Decimal():
            text = format(value, "f")
        case int() if 0 <= value < _LIMIT:
            return Decimal(value)
        case float():
            text = _shortest(value)
        case _:
            raise ValueError(_RULE)
    if _TEXT.fullmatch(text) is None:
        raise ValueError(_RULE)
    return Decimal(text)


def write_money(amount: Decimal) -> str:
    """As it was written."""
    return format(amount, "f")


def _shortest(value: float) -> str:
    """The shortest text of a JSON number, `12.5`; nothing where its digits are not sure."""
    text = repr(value).removesuffix(".0")
    return text if sum(map(str.isdigit, text)) <= _SURE_DIGITS else ""


_SCHEMA: Final[dict[str, Any]] = {
    "description": "An exact amount: text of digits; of a number at most 15 digits are taken.",
    "anyOf": [
        {"type": "string", "pattern": f"^{_TEXT.pattern}$"},
        {"type": "number", "minimum": 0, "exclusiveMaximum": _LIMIT},
    ],
}

#: A decimal inside, text outside.
Money = Annotated[
    Decimal,
    PlainValidator(read_money),
    PlainSerializer(write_money, when_used="json"),
    WithJsonSchema(_SCHEMA, mode="validation"),
]
#: Three capitals, such as EUR.
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
