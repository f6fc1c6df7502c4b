"""Variables that were meant to be settings: spelt almost like one, or under our prefix without being one.

Owns how near is near. The settings' names are given; nothing is said of any other variable.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

#: Nobody but us reads variables that begin so.
_PREFIX: Final = "WHATSAPP_"
#: Kubernetes puts these into every container, for each service: of `whatsapp-gateway` they have our prefix.
_OF_KUBERNETES: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)$")
#: From so many letters on two may be wrong, else one.
_LONG: Final = 10


def find_unknown(names: Collection[str], known: Collection[str]) -> Iterator[tuple[str, str | None]]:
    """Of `names` those that are unknown though meant for us, with the known one that is nearest, if any."""
    for name in sorted(set(names) - set(known)):
        meant = _nearest(name, known)
        if meant is not None or (name.startswith(_PREFIX) and not _OF_KUBERNETES.search(name)):
            yield name, meant


def _nearest(name: str, known: Collection[str]) -> str | None:
    letters = _letters(name)
    ranked = sorted((_distance(letters, _letters(item)), item) for item in known)
    return next((item for steps, item in ranked if steps <= (2 if len(_letters(item)) >= _LONG else 1)), None)


def _letters(name: str) -> str:
    return name.upper().replace("_", "").replace("-", "")


def _distance(one: str, other: str) -> int:
    """Letters to put in, leave out, change, or swap with their neighbour, to get from one to the other."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one):
        last, row = row, [i + 1]
        for j, wanted in enumerate(other):
            steps = min(last[j + 1] + 1, row[j] + 1, last[j] + (letter != wanted))
            if i and j and (letter, one[i - 1]) == (other[j - 1], wanted):
                steps = min(steps, before[j - 1] + 1)
            row.append(steps)
        before = last
    return row[-1]
