"""Values of which there are several for each message: frozen for whoever reads the code, not for Python.

A frozen dataclass sets each field by a call of its own, which takes three times as long and more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, eq: bool = True, weakref_slot: bool = False) -> Callable[[type[_Value]], type[_Value]]:
    """As `dataclass(frozen=True, slots=True)`, hashed like it; that nobody changes one is mypy's to see."""
    return dataclass(slots=True, eq=eq, weakref_slot=weakref_slot, unsafe_hash=eq)
