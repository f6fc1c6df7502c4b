"""One mutation: which text becomes which, what that breaks, and who must notice. No line is named."""

from dataclasses import dataclass
from pathlib import Path


class StaleMutation(Exception):  # noqa: N818 - the code moved on, nothing failed
    """Its text is not there as often as it says."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old` stands `count` times in `file`, and each becomes `new`. At least one of `tests` then fails.

    `rule`: the number of the rule that it breaks, and what is promised. `tests`: files or test ids.
    """

    name: str
    file: str
    old: str
    new: str
    rule: str
    tests: tuple[str, ...]
    count: int = 1

    def apply(self, text: str) -> str:
        """The file's text, mutated. Raises StaleMutation."""
        found = text.count(self.old)
        if found != self.count:
            raise StaleMutation(f"{self.file} has its text {found} times, not {self.count}: {self.old!r}")
        return text.replace(self.old, self.new)

    def matches(self, pattern: str) -> bool:
        """Whether its name, file or rule contains a pattern."""
        return any(pattern.lower() in text.lower() for text in (self.name, self.file, self.rule))

    def missing_tests(self, root: Path) -> list[str]:
        """Those of its tests that are not there."""
        return [test for test in self.tests if not _exists(root, test)]


def _exists(root: Path, test: str) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    if not path.is_file():
        return False
    return not name or f"def {name.partition('[')[0]}(" in path.read_text(encoding="utf-8")
