"""Rates without Redis: the same rules in one process, for its part of what all consumers may send.

Owns the state of this process only; the rules are those of `rate_permit.lua` and its neighbours, by the
process's monotonic clock.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.coordination.permits import (
    LANES,
    Ask,
    LimitCause,
    Permit,
    Wait,
    bucket_of,
    grown,
    pair_pause_s,
    rate_of,
)
from shared.durations import Durations

_MOST_CREDIT: Final = 2.0
_ALMOST_ONE: Final = 1 - 1e-6
#: The resolution of the shared rates' clock: less is no wait.
_AT_ONCE_S: Final = 1e-6
#: Pairs kept before those that are free again are forgotten.
_PAIRS: Final = 4096


@dataclass(slots=True)
class _NumberRate:
    """One business number: bucket, brake, and for each lane its credit and until when it waits."""

    at: float
    tokens: float = 1.0
    factor: float = 1.0
    factor_at: float = 0.0
    blocked_until: float = 0.0
    cuts: int = 0
    credit: list[float] = field(default_factory=lambda: [0.0] * len(LANES))
    waits: list[float] = field(default_factory=lambda: [0.0] * len(LANES))


class LocalRates:
    """Answers at once. `consumers` is the number of processes among which a number's rate is divided."""

    def __init__(self, durations: Durations, clock: Callable[[], float] = time.monotonic) -> None:
        self._durations = durations
        self._clock = clock
        self._numbers: dict[str, _NumberRate] = {}
        self._pairs: dict[tuple[str, str], float] = {}
        self._forget_at = _PAIRS
        self.consumers = 1

    def permit(self, ask: Ask) -> Permit | Wait:
        """May this message go now? A permit is used up by being given."""
        now = self._clock()
        if (pair_wait_s := self._pair_wait_s(ask, now)) > 0:
            return Wait(pair_wait_s, LimitCause.PAIR)
        number = self._number(ask.number, now)
        if number.blocked_until > now:
            return Wait(number.blocked_until - now, LimitCause.SLOWED)
        factor = self._factor(number, now)
        rate = rate_of(ask.mps, self._durations) / self.consumers * factor
        self._refill(number, now, rate, bucket_of(ask.mps / self.consumers, self._durations))
        lane = LANES.index(ask.lane)
        wait_s = self._lane_wait_s(number, lane, rate, now)
        if wait_s <= _AT_ONCE_S:
            self._take(number, lane, ask, now)
            return Permit()
        if wait_s <= ask.patience_s:
            number.waits[lane] = max(number.waits[lane], now + wait_s + self._durations.lane_return_s)
        return Wait(wait_s, LimitCause.SLOWED if factor < 1 else LimitCause.NUMBER)

    def permit_many(self, asks: Sequence[Ask]) -> list[Permit | Wait]:
        """The same for messages of one number and lane, in order, up to the first that must wait for it."""
        answers: list[Permit | Wait] = []
        for ask in asks:
            answers.append(self.permit(ask))
            match answers[-1]:
                case Wait(_, cause) if cause is not LimitCause.PAIR:
                    break
        return answers

    def slow(self, number: str, retry_after_s: float | None) -> None:
        """Stop a number, then let it go on at a lower rate that recovers."""
        now, durations = self._clock(), self._durations
        state = self._number(number, now)
        if state.blocked_until <= now:
            factor = self._factor(state, now)
            lower = factor * durations.rate_cut
            is_close = now - state.blocked_until <= self._stop_s(state.cuts)
            state.cuts = state.cuts + 1 if is_close and lower <= durations.rate_floor else 1
            state.factor = max(durations.rate_floor, lower)
            pause_s = self._stop_s(state.cuts)
            state.blocked_until = now + (pause_s if retry_after_s is None else retry_after_s)
        state.blocked_until = max(state.blocked_until, now + (retry_after_s or 0.0))
        state.factor_at = state.blocked_until

    def _stop_s(self, cuts: int) -> float:
        return grown(self._durations.rate_backoff_s, 2.0, cuts - 1, self._durations.rate_backoff_max_s)

    def back_off_pair(self, number: str, customer: str, n: int) -> None:
        """Nothing more to this customer for 4^n seconds, and no burst after it."""
        arrival = self._clock() + pair_pause_s(n, self._durations) + self._pair_tolerance_s
        self._note_pair((number, customer), max(arrival, self._pairs.get((number, customer), 0.0)))

    def _number(self, number: str, now: float) -> _NumberRate:
        return self._numbers.setdefault(number, _NumberRate(at=now))

    def _factor(self, number: _NumberRate, now: float) -> float:
        regained = max(0.0, now - number.factor_at) / self._durations.rate_recovery_s
        return min(1.0, number.factor + regained)

    def _refill(self, number: _NumberRate, now: float, rate: float, most_tokens: float) -> None:
        gained = max(0.0, now - max(number.at, number.blocked_until)) * rate
        number.tokens = min(most_tokens, number.tokens + gained)
        earned = gained * self._durations.lane_min_share
        number.credit = [min(_MOST_CREDIT, credit + earned) for credit in number.credit]
        number.at = now

    def _lane_wait_s(self, number: _NumberRate, lane: int, rate: float, now: float) -> float:
        missing_s = (1 - number.tokens) / rate
        if number.credit[lane] >= _ALMOST_ONE:
            return missing_s
        higher_until = max(number.waits[:lane], default=0.0)
        if higher_until > now:
            credit_s = (1 - number.credit[lane]) / (rate * self._durations.lane_min_share)
            return max(missing_s, min(credit_s, higher_until - now))
        kept = sum(
            number.waits[lower] > now and number.credit[lower] >= _ALMOST_ONE
            for lower in range(lane + 1, len(LANES))
        )
        return missing_s + kept / rate

    def _take(self, number: _NumberRate, lane: int, ask: Ask, now: float) -> None:
        number.tokens = max(0.0, number.tokens - 1)
        number.credit[lane] = max(0.0, number.credit[lane] - 1)
        pair = (ask.number, ask.customer)
        self._note_pair(pair, max(now, self._pairs.get(pair, 0.0)) + self._pair_interval_s)

    def _pair_wait_s(self, ask: Ask, now: float) -> float:
        return self._pairs.get((ask.number, ask.customer), now) - self._pair_tolerance_s - now

    @property
    def _pair_interval_s(self) -> float:
        return self._durations.pair_interval_s * self.consumers

    @property
    def _pair_tolerance_s(self) -> float:
        return max(0, self._durations.pair_burst // self.consumers - 1) * self._pair_interval_s

    def _note_pair(self, pair: tuple[str, str], arrival: float) -> None:
        if len(self._pairs) >= self._forget_at:
            now = self._clock()
            self._pairs = {known: until for known, until in self._pairs.items() if until > now}
            self._forget_at = max(_PAIRS, 2 * len(self._pairs))
        self._pairs[pair] = arrival
