"""Dead letters as people ask for them: a page of a list, or one by the beginning of its id."""

# ruff: noqa: N818 - the names say what happened, as the error tree's do

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.deadletters.letters import Letter, LetterLine, Selection
from shared.deadletters.store import DeadLetterStore
from shared.errors import WabusError


class NoBeginning(WabusError):
    """What was given is no beginning of an id, of whichever dead letter."""


class UnknownLetter(WabusError):
    """No dead letter has an id that begins so."""


class SeveralLetters(WabusError):
    """More than one dead letter has an id that begins so."""


@dataclass(frozen=True, slots=True)
class LetterPage:
    """The first lines of what matches, `counts` of all that matches by reason.

    `bodies`: `original_payload` and `raw_body_base64` of each line, where they were asked for.
    """

    lines: Sequence[LetterLine]
    counts: Mapping[str, int]
    bodies: Mapping[UUID, tuple[Any, str | None]]

    @property
    def total(self) -> int:
        """How many match."""
        return sum(self.counts.values())


async def read_page(
    store: DeadLetterStore, selection: Selection, limit: int, *, settled: bool, with_bodies: bool
) -> LetterPage:
    """The most pressing of the open dead letters, or of the settled ones. Raises StoreError."""
    lines = await store.lines(selection, limit, settled=settled)
    counts = await store.count_by_reason(selection, settled=settled)
    bodies = await store.bodies([line.id for line in lines]) if with_bodies else {}
    return LetterPage(lines, counts, bodies)


async def resolve(store: DeadLetterStore, beginning: str) -> UUID:
    """The id that begins so. Raises NoBeginning, UnknownLetter, SeveralLetters, StoreError."""
    try:
        found = await store.find(beginning)
    except ValueError as error:
        raise NoBeginning(f"{beginning!r} is no beginning of an id") from error
    match found:
        case [only]:
            return only
        case []:
            raise UnknownLetter(f"no dead letter {beginning}")
        case _:
            raise SeveralLetters(f"more than one dead letter begins with {beginning}: give more of its id")


async def read_whole(store: DeadLetterStore, beginning: str) -> Letter:
    """The one whose id begins so, with everything. Raises as `resolve` does."""
    letter = await store.get(await resolve(store, beginning))
    if letter is None:
        raise UnknownLetter(f"no dead letter {beginning}")
    return letter
