"""The platform's rate limits: messages a second of a business number, and the pair of number and customer.

Owns counting; the refusal is made by `platform`. Times are seconds of one monotonic clock.
"""

from collections import deque

WINDOW_S = 1.0
PAIR_INTERVAL_S = 6.0
PAIR_BURST = 45
_PRUNE_AT = 100_000


class SecondWindow:
    """Events of the last second (a sliding one, so that no second of any alignment is over the limit)."""

    __slots__ = ("_times", "peak")

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.peak = 0

    def count(self, now_s: float) -> int:
        while self._times and self._times[0] <= now_s - WINDOW_S:
            self._times.popleft()
        return len(self._times)

    def add(self, now_s: float) -> None:
        self._times.append(now_s)
        self.peak = max(self.peak, self.count(now_s))


class PairLimit:
    """One message each 6 s from a number to a customer, a burst of 45 borrowed from the time to come.

    Keeps one time for each pair that is in debt (the generic cell rate algorithm) and forgets the others.
    """

    def __init__(self) -> None:
        self._paid_until: dict[tuple[str, str], float] = {}

    def allows(self, pair: tuple[str, str], now_s: float) -> bool:
        debt_s = self._paid_until.get(pair, now_s) - now_s
        return debt_s <= PAIR_INTERVAL_S * (PAIR_BURST - 1)

    def add(self, pair: tuple[str, str], now_s: float) -> None:
        if len(self._paid_until) >= _PRUNE_AT:
            self._paid_until = {key: until for key, until in self._paid_until.items() if until > now_s}
        self._paid_until[pair] = max(self._paid_until.get(pair, now_s), now_s) + PAIR_INTERVAL_S
