"""Words of rate limiting: what is asked, what is answered, and the figures that follow from an allowance.

Owns values only. Who answers: `rate_shared` (Redis), `rate_local` (without it); who waits: `rate`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.durations import Durations

#: Lanes of a business number, first served first.
LANES: Final = ("reply", "utility", "bulk")
#: A fraction of a token sends nothing, so the bucket may hold that much more within the allowance.
_FRACTION: Final = 0.99


class LimitCause(StrEnum):
    """What a message waits for."""

    NUMBER = "number"  # the number's rate, or a higher lane
    PAIR = "pair"  # one customer's rate, or back-off
    SLOWED = "slowed"  # the number, after the platform refused it for its rate


@dataclass(frozen=True, slots=True)
class Ask:
    """One message that wants to go; whoever asks comes back by itself if the wait is within `patience_s`."""

    number: str
    customer: str
    lane: str
    mps: float
    patience_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """The message may go, now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; ask again after `wait_s`, when it may be granted or not."""

    wait_s: float
    cause: LimitCause


@dataclass(frozen=True, slots=True)
class Granted:
    """The message may go, now, having waited so long."""

    waited_s: float


@dataclass(frozen=True, slots=True)
class TooLong:
    """Not within the longest wait: to be deferred for about `wait_s`."""

    wait_s: float
    cause: LimitCause


def rate_of(mps: float, durations: Durations) -> float:
    """Tokens a second of a number that is allowed `mps`."""
    return mps * durations.number_rate_share


def bucket_of(mps: float, durations: Durations) -> float:
    """Most tokens at once: with the rate of a second less than `mps` + 1, so no second exceeds it."""
    return max(1.0, mps * (1 - durations.number_rate_share) + _FRACTION)


def pair_pause_s(n: int, durations: Durations) -> float:
    """Pause of a customer after `n` answers 131056 in a row: 4^n seconds, at most 256."""
    return grown(1.0, durations.pair_backoff_base_s, n, durations.pair_backoff_max_s)


def grown(first: float, base: float, times: int, most: float) -> float:
    """`first * base ** times`, at most `most`, however often it grew."""
    try:
        return min(most, first * base**times)
    except OverflowError:
        return most
