"""Which faults strike in the run of a seed, in which order, how long, and how far apart. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.fault import FaultKind

_LEAST, _MOST = 4, 6
#: Calm before the first fault and after each recovery, so that the next one strikes a cluster at work.
_CALM_S: Final = (2.0, 4.0)
#: What a heal and a recovery take, at a guess: the load must last so long.
_RECOVERY_S: Final = 5.0
_BEFORE_S: Final = 5.0
#: Without a fault, before the first that must spare somebody: what untouched customers wait then is compared.
_QUIET_S: Final = 12.0
#: Every so many seeds, workers have one replica, where no fault needs another: order per customer is promised
#: within one only.
_SINGLE_EVERY: Final = 5


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: so long after the one before it was over, and so long until it is healed."""

    kind: FaultKind
    after_s: float
    lasts_s: float
    #: Seed of the details that `kind.make` draws.
    seed: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run. `load_s`: for how long messages are offered, the first `quiet_s` of it without a fault."""

    seed: int
    replicas: int
    strikes: tuple[Strike, ...]
    load_s: float
    quiet_s: float


def make_schedule(seed: int, kinds: Sequence[FaultKind]) -> Schedule:
    """The same for the same seed and kinds. Twenty seeds in a row have each of up to eighty kinds."""
    random = Random(seed)
    deck = list(kinds)
    Random(0).shuffle(deck)
    dealt = [deck[((seed - 1) * _LEAST + place) % len(deck)] for place in range(_LEAST)]
    dealt += [random.choice(deck) for _ in range(random.randint(0, _MOST - _LEAST))]
    random.shuffle(dealt)
    strikes = tuple(
        Strike(kind, random.uniform(*_CALM_S), random.uniform(*kind.lasts_s), random.getrandbits(32))
        for kind in dealt
    )
    quiet_s = _QUIET_S if any(kind.spares for kind in dealt) else 0.0
    load_s = _BEFORE_S + sum(strike.after_s + strike.lasts_s + _RECOVERY_S for strike in strikes)
    is_single = seed % _SINGLE_EVERY == 0 and not any(kind.needs_two for kind in dealt)
    return Schedule(seed, 1 if is_single else 2, strikes, quiet_s + load_s, quiet_s)
