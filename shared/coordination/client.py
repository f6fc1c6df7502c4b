"""The one door to Redis: connections, scripts, and the guard that keeps an absent Redis from costing time.

Owns the pool, the deadline of a call, the translation of errors and the knowledge whether Redis is there.
Does not own what is stored (`locks`, `rate`, the cache of conversations), nor what happens without Redis:
they degrade.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self, TypeVar

from redis.asyncio import Redis
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's own, not the builtin
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004
)

from shared.certificates import ObserveExpiry, ignore_expiry
from shared.coordination.reaching import Pool
from shared.durations import DURATIONS, Durations
from shared.errors import WabusError
from shared.settings.server_urls import UrlSource, current_url

_log = logging.getLogger(__name__)

#: Errors in which the server as a whole cannot serve us: lost, loading, read-only, full, without its master.
_AWAY: Final = (ConnectionError, TimeoutError, ReadOnlyError, OutOfMemoryError, ClusterDownError, OSError)
#: The same, told by redis-py only in the first word of the text.
_AWAY_WORDS: Final = frozenset({"MISCONF", "NOREPLICAS", "BUSY", "MASTERDOWN"})
#: Beside the locks: an ACL may allow their keys and no others.
_PROBE_KEY: Final = "lock:probe"

Argument = str | bytes | int | float
_Result = TypeVar("_Result")


class RedisUnavailable(WabusError):  # noqa: N818 - says what happened, as the error tree does
    """Redis did not do it (away, too slow, or it refused the call); the caller goes on without.

    Internal to this package, except for `RedisClient.ping`. Whether the call took effect is unknown.
    """


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest under which Redis keeps it."""

    source: str
    digest: str

    @classmethod
    def of(cls, source: str) -> Self:
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    @classmethod
    def load(cls, name: str) -> Self:
        """Read `<name>.lua` of this package."""
        return cls.of(files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8"))


class RedisClient:
    """Calls to one Redis (no cluster: a script takes keys of any slot), each within `redis_call_s`.

    After a failure of the server its connections are dropped, and calls fail at once until a probe in the
    background succeeds. Each probe resolves the name, or asks Sentinel, anew. Safe for concurrent
    use in one event loop; `close` it at the end.
    """

    def __init__(
        self,
        url: str | UrlSource,
        durations: Durations = DURATIONS,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        """`url`: `redis://` or `rediss://` (TLS), or by way of Sentinel. Nothing is connected yet."""
        self._url = url
        self._durations = durations
        self._observe_expiry = observe_expiry
        self._open(current_url(url))
        self._probing: asyncio.Task[None] | None = None
        self._probed_at = float("-inf")
        self._failure = ""
        self._refusals: set[str] = set()

    @property
    def is_available(self) -> bool:
        """Whether the last that was heard of Redis was good (true before the first call)."""
        return self._probing is None

    async def ping(self) -> float:
        """Round trip in milliseconds. Raises `RedisUnavailable`, which says why."""
        started_at = time.perf_counter()
        await self.command("PING")
        return (time.perf_counter() - started_at) * 1000

    async def command(self, name: str, *arguments: Argument) -> Any:
        """One command and its reply (bytes, int, list or None). Raises `RedisUnavailable`."""
        return await self._guard(lambda: self._execute(name, *arguments))

    async def run_script(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script by its digest, loading it where Redis has lost it. Raises `RedisUnavailable`."""
        tail = (len(keys), *keys, *arguments)

        async def run() -> Any:
            try:
                return await self._execute("EVALSHA", script.digest, *tail)
            except NoScriptError:
                return await self._execute("EVAL", script.source, *tail)

        return await self._guard(run)

    async def close(self) -> None:
        """End the probing and all connections, without waiting for a Redis that does not answer."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})
        await self._drop_connections(in_use=True)

    async def _guard(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        if self._probing is not None:
            raise RedisUnavailable(f"Redis is away ({self._failure})")
        try:
            async with asyncio.timeout(self._durations.redis_call_s):
                return await call()
        except (RedisError, OSError) as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> RedisUnavailable:
        """What failed, by class only: an error's text may hold a key, and a key holds a phone number."""
        failure = type(error).__name__
        if _is_away(error):
            self._go_away(failure)
            return RedisUnavailable(f"Redis is away ({failure})")
        if failure not in self._refusals:
            self._refusals.add(failure)
            _log.error("Redis refuses calls (%s); going on without their effect", failure)
        return RedisUnavailable(f"Redis refused a call ({failure})")

    def _go_away(self, failure: str) -> None:
        if self._probing is None:
            self._failure = failure
            self._probing = asyncio.create_task(self._probe_until_back(), name="redis-probe")
            _log.warning("Redis is away (%s); going on without it", failure)

    async def _probe_until_back(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                await self._start_anew()
                await asyncio.sleep(self._probed_at + self._durations.redis_probe_s - clock())
                self._probed_at = clock()
                if await self._takes_writes():
                    break
            _log.info("Redis is back")
        finally:
            self._probing = None

    async def _takes_writes(self) -> bool:
        """A write, since a replica or a full Redis answers a PING."""
        try:
            async with asyncio.timeout(max(self._durations.redis_call_s, self._durations.redis_probe_s)):
                await self._execute("SET", _PROBE_KEY, "1", "PX", 1000)
        except (RedisError, OSError) as error:
            self._failure = type(error).__name__
            return False
        return True

    async def _start_anew(self) -> None:
        """Each pooled connection may be dead without having said so, or lead to what is a replica by now."""
        await self._drop_connections()
        if (url := current_url(self._url)) != self._pool.url:
            self._open(url)

    def _open(self, url: str) -> None:
        self._pool = Pool(url, self._durations.redis_call_s, self._observe_expiry)
        client = Redis(connection_pool=self._pool.connections)
        self._execute: Callable[..., Awaitable[Any]] = client.execute_command

    async def _drop_connections(self, *, in_use: bool = False) -> None:
        try:
            async with asyncio.timeout(self._durations.redis_call_s):
                await self._pool.drop(in_use=in_use)
        except (RedisError, OSError) as error:
            _log.debug("closing connections to Redis: %s", type(error).__name__)


def _is_away(error: Exception) -> bool:
    said = str(error)
    return isinstance(error, _AWAY) or said.partition(" ")[0] in _AWAY_WORDS or " READONLY " in said
