"""Rows of facts as JSON, for statements that write many of them at once. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.payloads.money import write_money


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's columns in the forms in which PostgreSQL reads them from JSON."""
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    match value:
        case Decimal():
            return write_money(value)
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return rf"\x{value.hex()}"
        case _:
            return value
