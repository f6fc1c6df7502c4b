"""A source: one question to one server, asked again and again, whatever becomes of the others.

Owns the pauses, and that a server which is away is told and asked again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from shared.errors import SettingsError, WabusError
from shared.masking import mask_secrets

T = TypeVar("T")

#: Of a server's time a page takes one part in so many: what was slow to read is read the more rarely.
_SHARE: Final = 10


class Source(Generic[T]):
    """`value`: the last answer, kept while there is no newer one; `error`: why there is none, in one line."""

    def __init__(self, name: str, server: str, ask: Callable[[], Awaitable[T]]) -> None:
        self.name = name
        self.server = server
        self.value: T | None = None
        self.error: str | None = None
        self._ask = ask
        self._read_at: float | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds since the last answer; None before the first."""
        return None if self._read_at is None else asyncio.get_running_loop().time() - self._read_at

    async def look(self) -> None:
        """Ask once. Raises nothing for a server's sake, SettingsError for that of a bad URL."""
        try:
            self.value = await self._ask()
        except SettingsError:
            raise
        except WabusError as error:
            self.error = mask_secrets(str(error))
        else:
            self.error = None
            self._read_at = asyncio.get_running_loop().time()

    async def keep_looking(self, every_s: float, wanted: asyncio.Event, tell: Callable[[], None]) -> None:
        """Ask until cancelled, while it is wanted; `tell` is called after each answer and each failure.

        Every so many seconds, or more rarely where an answer takes more than a tenth of that. One that does
        not come costs as much again, no more: its server may be back.
        """
        clock = asyncio.get_running_loop().time
        while True:
            await wanted.wait()
            asked_at = clock()
            await self.look()
            tell()
            took_s = clock() - asked_at
            await asyncio.sleep(max(every_s, took_s if self.error else _SHARE * took_s))
