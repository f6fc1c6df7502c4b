"""Messages of one customer and lane, one after the other, in the order in which they came in hand.

Owns the waiting in this process. Across processes the database keeps the order as far as it is promised.
"""

import asyncio
from typing import TypeAlias
from uuid import UUID

Key: TypeAlias = tuple[str, str, str]


class Turn:
    """One message's place in its chain. `leave` must be called, whatever happens."""

    def __init__(self, chains: "Chains", key: Key, before: "Turn | None") -> None:
        self._chains = chains
        self._key = key
        self._before = before
        self._over = asyncio.Event()
        self._waiting: frozenset[UUID] = frozenset()

    async def come(self) -> frozenset[UUID]:
        """Wait for the message before; returns the earlier messages that were put off and still wait."""
        if self._before is None:
            return frozenset()
        await self._before._over.wait()
        waiting, self._before = self._before._waiting, None
        return waiting

    def leave(self, waiting: frozenset[UUID] = frozenset()) -> None:
        """Let the next one come; `waiting` are messages that it must stay behind."""
        self._waiting = waiting
        self._over.set()
        self._chains.forget(self._key, self)


class Chains:
    """All chains of a process."""

    def __init__(self) -> None:
        self._last: dict[Key, Turn] = {}

    def join(self, key: Key) -> Turn:
        """Take the last place of a chain."""
        turn = self._last[key] = Turn(self, key, self._last.get(key))
        return turn

    def forget(self, key: Key, turn: Turn) -> None:
        """Drop a chain whose last message has left."""
        if self._last.get(key) is turn:
            del self._last[key]
