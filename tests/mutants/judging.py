"""What becomes of one mutant: its tests noticed, or did not, or it is no mutant any more."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tests.mutants.mutation import Mutation, StaleMutation
from tests.mutants.place import Place

#: pytest's exit codes.
_PASSED: Final = 0
_NOTICED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
_SHOWN: Final = 1500


class Fate(StrEnum):
    """`stale`: text or tests are not there, or the mutated code cannot even be read."""

    KILLED = "killed"
    SURVIVED = "survived"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Judged:
    """A mutant's fate, and who noticed or what else is to be said."""

    mutation: Mutation
    fate: Fate
    seconds: float
    said: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        mutation = self.mutation
        return {
            "name": mutation.name,
            "file": mutation.file,
            "rule": mutation.rule,
            "tests": list(mutation.tests),
            "fate": self.fate.value,
            "seconds": round(self.seconds, 1),
            "said": self.said,
        }


def judge(place: Place, mutation: Mutation) -> Judged:
    """Run the tests of a mutation against its mutant."""
    started = time.monotonic()
    try:
        with place.mutated(mutation):
            code, output = place.run_tests(mutation.tests)
    except (StaleMutation, OSError) as error:
        return Judged(mutation, Fate.STALE, time.monotonic() - started, str(error))
    fate, said = _judge(code, output)
    return Judged(mutation, fate, time.monotonic() - started, said)


def check_unmutated(place: Place, mutations: Sequence[Mutation]) -> str | None:
    """What fails without any mutation would notice nothing: its output, None where all is well.

    What fails beside the others is run once more: a busy machine fails a test, too.
    """
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    files = {test for test in tests if "::" not in test}
    left = [test for test in tests if test in files or test.partition("::")[0] not in files]
    code, output = place.run_all(left)
    if code == 1:
        code, output = place.run_all(sorted(set(_NOTICED.findall(output))))
    return None if code == _PASSED else output[-_SHOWN:]


def _judge(code: int | None, output: str) -> tuple[Fate, str]:
    noticed = _NOTICED.search(output)
    match code:
        case None:
            return Fate.KILLED, "its tests did not end"
        case 0:
            return Fate.SURVIVED, "no test failed"
        case 1:
            return Fate.KILLED, noticed.group(1) if noticed else "a test failed"
        case _:
            return Fate.STALE, f"pytest ended with {code}: {output[-_SHOWN:]}"
