"""Which of two facts of the same thing is the greater one. Pure.

Owns the order: version, then time, then rank of the status, then hash of the content. A row shows its
greatest fact, so that the order in which facts come, and how often, changes nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_BYTES: Final = 8
_TIME_BYTES: Final = 8


class FactOutcome(StrEnum):
    """What became of a fact. `UNREACHABLE`: applied, and nobody can tell who its customer is."""

    APPLIED = "applied"
    LATE = "late"
    DUPLICATE = "duplicate"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """A fact's place among those of the same thing. Stamps compare as their facts do."""

    version: int
    updated_at: datetime
    rank: int
    content: bytes

    def after(
        self, shown: "Stamp | None"
    ) -> Literal[FactOutcome.APPLIED, FactOutcome.LATE, FactOutcome.DUPLICATE]:
        """What comes of a fact with this stamp where a row shows that one; None: it shows none."""
        if shown is None or self > shown:
            return FactOutcome.APPLIED
        return FactOutcome.DUPLICATE if self == shown else FactOutcome.LATE

    @property
    def key(self) -> bytes:
        """Bytes that compare as the stamps do, for one column."""
        microseconds = (self.updated_at - _EPOCH) // (datetime.resolution)
        return b"".join(
            (
                self.version.to_bytes(_VERSION_BYTES, "big"),
                microseconds.to_bytes(_TIME_BYTES, "big"),
                bytes((self.rank,)),
                self.content,
            )
        )
