"""The form of a verdict: a promise, how often it was put to the test, and where it was broken."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """`checked`: how many things the promise was held against. `violations`: a line for each breach."""

    promise: str
    checked: int
    violations: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        """Whether nothing broke it."""
        return not self.violations


def judge(promise: str, checked: int, violations: Iterable[str]) -> Verdict:
    """A verdict; every breach is told."""
    return Verdict(promise, checked, tuple(violations))
