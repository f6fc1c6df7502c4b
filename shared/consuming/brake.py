"""The brake: when unexpected errors run wild, the worker stops emptying its queue into the dead letters."""

from collections import deque


class Brake:
    """Trips when more than `share` of the last `window` deliveries failed; one success resets it."""

    def __init__(self, window: int, share: float) -> None:
        self._window = window
        self._share = share
        self._failures: deque[bool] = deque(maxlen=window)
        self._tripped = False

    @property
    def is_tripped(self) -> bool:
        """Whether the worker must pause."""
        return self._tripped

    def note(self, *, failed: bool) -> None:
        """Record what became of one delivery."""
        if self._tripped and not failed:
            self._failures.clear()
            self._tripped = False
            return
        self._failures.append(failed)
        full = len(self._failures) == self._window
        if full and sum(self._failures) > self._window * self._share:
            self._tripped = True
