"""What a table says of itself: how long its rows stay, which are a person's, what is counted.

Owns the kinds of answers. Each noun answers for its tables in its `upkeep.py`; `shared.tables` gathers them
for those who prune, count and erase.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from shared.durations import Durations

#: What gathers is counted up to so many; beyond that its number is PostgreSQL's estimate.
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows go when they are older than `days`, by the expression `age`, which has an index.

    `prune` removes up to $2 rows that are older than $1. Where one row may keep the others of its page,
    `find` finds their ids, and `prune` takes ids ($1).
    """

    days: Callable[[Durations], float]
    age: str
    prune: str
    find: str | None = None

    def older_than(self, durations: Durations) -> timedelta:
        """The age from which on rows go."""
        return timedelta(days=self.days(durations))


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows stay whatever their age, and why, or what else ends them."""

    why: str


@dataclass(frozen=True, slots=True)
class Theirs:
    """The columns by which a row is known to be a person's. Merging two customers changes `addresses`."""

    addresses: tuple[str, ...] = ()
    #: The id of one of their conversations.
    mappings: tuple[str, ...] = ()
    #: An id of one of their messages: ours, or another's.
    messages: tuple[str, ...] = ()
    #: Whatever may name them somewhere inside.
    texts: tuple[str, ...] = ()
    #: Removes all rows of a person by their addresses ($1), where an erasure has no statement of its own.
    erase: str | None = None
    #: Gives the same rows whole, where an export has no statement of its own.
    export: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.addresses, *self.mappings, *self.messages, *self.texts)


@dataclass(frozen=True, slots=True)
class Counted:
    """A gauge among `shared.observability.metrics`, and what reads it: one value, or rows of label and value.

    `numbers`: what a value stands for that is a word.
    """

    gauge: str
    statement: str
    arguments: tuple[Any, ...] = ()
    labelled: bool = False
    numbers: Mapping[Any, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `theirs`: None where no row is a person's."""

    name: str
    stays: Retention | Kept
    theirs: Theirs | None
    counted: tuple[Counted, ...] = ()
