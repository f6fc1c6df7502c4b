"""Reading the parameters of a request body: presence, type, length and form, refused in the platform's words.

Owns the reading of one JSON object. Which parameters a message has is known in `contents` and `interactive`.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import NoReturn, cast

from deploy.sandbox.graph_errors import (
    INVALID_PARAMETER,
    PARAMETER_MISSING,
    PARAMETER_VALUE_INVALID,
    RequestRefused,
    make_error,
)

_HTTP_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def refuse(code: int, details: str) -> NoReturn:
    """Raises `RequestRefused` with this code."""
    raise RequestRefused(make_error(code, details))


class Fields:
    """The parameters of one object. Every reader raises `RequestRefused`; a null counts as absent."""

    __slots__ = ("_values", "path")

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = values
        self.path = path

    def name_of(self, key: str) -> str:
        """The full name of a parameter, such as `interactive.body.text`."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def require(self, key: str) -> object:
        value = self._values.get(key)
        if value is None:
            code = PARAMETER_MISSING if self.path else INVALID_PARAMETER
            refuse(code, f"The parameter {self.name_of(key)} is required.")
        return value

    def allow_only(self, keys: Collection[str]) -> None:
        """Refuses misspelled parameters (code 100), as the platform does inside message objects."""
        for key in self._values:
            if key not in keys:
                refuse(INVALID_PARAMETER, f'Unexpected key "{key}" on param "{self.path}".')

    def text(self, key: str, longest: int, *, shortest: int = 1) -> str:
        """A required text of `shortest` to `longest` characters."""
        value = self.require(key)
        if not isinstance(value, str):
            refuse(INVALID_PARAMETER, f"Param {self.name_of(key)} must be a string.")
        if not shortest <= len(value) <= longest:
            limits = f"Min length: {shortest}, Max length: {longest}"
            refuse(PARAMETER_VALUE_INVALID, f"{self.name_of(key)} length invalid. {limits}")
        return value

    def optional_text(self, key: str, longest: int) -> str | None:
        return self.text(key, longest, shortest=0) if self.has(key) else None

    def choice(self, key: str, choices: Collection[str]) -> str:
        value = self.require(key)
        if not isinstance(value, str) or value not in choices:
            names = ", ".join(choices)
            refuse(INVALID_PARAMETER, f"Param {self.name_of(key)} must be one of {{{names}}}.")
        return value

    def flag(self, key: str) -> bool:
        """An optional boolean, false when absent."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            refuse(INVALID_PARAMETER, f"Param {self.name_of(key)} must be a boolean.")
        return value is True

    def number(self, key: str, lowest: float, highest: float) -> float:
        """A required number, as JSON number or as text, within its bounds."""
        value = self.require(key)
        try:
            number = math.nan if isinstance(value, bool) else float(cast("float | str", value))
        except (TypeError, ValueError):
            number = math.nan
        if not lowest <= number <= highest:
            rule = f"must be a number from {lowest:g} to {highest:g}"
            refuse(PARAMETER_VALUE_INVALID, f"{self.name_of(key)} {rule}")
        return number

    def url(self, key: str) -> str:
        """A required link with scheme http or https and a host."""
        value = self.text(key, 2_048)
        if not _HTTP_URL.fullmatch(value):
            refuse(INVALID_PARAMETER, f"Param {self.name_of(key)} is not a valid URI.")
        return value

    def object(self, key: str) -> "Fields":
        value = self.require(key)
        if not isinstance(value, dict):
            refuse(INVALID_PARAMETER, f"Param {self.name_of(key)} must be a JSON object.")
        return Fields(value, self.name_of(key))

    def objects(self, key: str, most: int | None = None, *, fewest: int = 1) -> list["Fields"]:
        """A required array of objects with `fewest` to `most` elements."""
        value = self.require(key)
        name = self.name_of(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            refuse(INVALID_PARAMETER, f"Param {name} must be an array of JSON objects.")
        if len(value) < fewest or (most is not None and len(value) > most):
            limits = f"Min: {fewest}" + ("" if most is None else f", Max: {most}")
            refuse(PARAMETER_VALUE_INVALID, f"{name} count invalid. {limits}")
        return [Fields(item, f"{name}[{index}]") for index, item in enumerate(value)]
