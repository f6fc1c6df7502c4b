"""How long a publication that fails is tried again while its deliveries are in hand."""

import asyncio
import time

from shared.durations import Durations
from shared.errors import PublishRefused, WabusError


class Patience:
    """Of one batch. A full queue refuses everybody; who gets no answer may be alone in that."""

    def __init__(self, durations: Durations) -> None:
        self._durations = durations
        self._pause_s = durations.reconnect_s
        self._began = time.monotonic()

    async def wait(self, error: WabusError) -> None:
        """Pause before the next attempt. Raises `error` where there should be none."""
        refused = isinstance(error, PublishRefused)
        longest_s = self._durations.hold_when_store_away_s if refused else self._durations.give_back_s
        if time.monotonic() - self._began >= longest_s:
            raise error
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, self._durations.store_probe_max_s)
