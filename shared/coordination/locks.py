"""Locks on customers, many keys in one call: they serialise work and spare PostgreSQL.

Owns tokens, TTLs, extension, release and the waits of contended keys. Does not own correctness: every rule
holds without a lock, by the database's guards, so a lock that cannot be had, or is lost, stops nobody.

Customers' locks alone are taken. What two replicas might do to one message is one guarded statement each time
(the claim of an attempt, the claim of a publication, rows locked in the order of their ids), whose loser has
nothing to redo: a lock of the message, `lock:message:{id}`, would add a round trip and spare none.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.coordination.client import RedisClient, RedisUnavailable, Script
from shared.durations import DURATIONS, Durations

_ACQUIRE: Final = Script.load("lock_acquire")
_EXTEND: Final = Script.load("lock_extend")
_RELEASE: Final = Script.load("lock_release")
#: A held lock is extended when this share of its TTL has gone.
_EXTEND_SHARE: Final = 1 / 3


@dataclass(slots=True)
class HeldLocks:
    """What one try came to. Without Redis nothing is owned, nothing taken, and `is_available` is false.

    While a `hold` lasts, `owned` loses the keys that are found to have expired or to be lost.
    """

    token: str
    owned: frozenset[str]
    taken: frozenset[str]
    is_available: bool


@dataclass(frozen=True, slots=True)
class LockRound:
    """Keys whose work is to be done now; those not in `owned` go on under the database's guards alone."""

    keys: frozenset[str]
    owned: frozenset[str]


class LockManager:
    """Takes, keeps and returns locks. Never raises for Redis's sake.

    `observe_acquire(outcome, seconds)` is called for each try (`acquired`, `contended`, `unavailable`);
    `count_failures(n)` with the number of keys that were still taken after the last try.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        ttl_s: float,
        retry_count: int,
        observe_acquire: Callable[[str, float], None],
        count_failures: Callable[[int], None],
        durations: Durations = DURATIONS,
    ) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._waits_s = _waits(durations.lock_waits_s, retry_count)
        self._observe_acquire = observe_acquire
        self._count_failures = count_failures

    async def acquire(self, keys: Sequence[str]) -> HeldLocks:
        """Take all free keys in one call, once, without waiting. Return them by `release`, or use `hold`."""
        started_at = time.perf_counter()  # uvloop's clock goes by milliseconds
        held = await self._try(tuple(dict.fromkeys(keys)), secrets.token_hex(16))
        self._observe_acquire(_outcome(held), time.perf_counter() - started_at)
        return held

    async def extend(self, token: str, keys: Iterable[str]) -> frozenset[str]:
        """Give `keys` their full TTL again; returns those still owned (all of them where Redis is away)."""
        asked = list(keys)
        try:
            result = await self._client.run_script(_EXTEND, asked, (token, self._ttl_ms))
        except RedisUnavailable:
            return frozenset(asked)
        return frozenset(key for key, owned in zip(asked, result, strict=True) if owned)

    async def release(self, token: str, keys: Iterable[str]) -> None:
        """Delete those of `keys` that `token` owns; again is harmless. Without Redis the TTL does it."""
        asked = list(keys)
        if not asked:
            return
        try:
            await self._client.run_script(_RELEASE, asked, (token,))
        except RedisUnavailable:
            return

    @asynccontextmanager
    async def hold(self, keys: Sequence[str]) -> AsyncIterator[HeldLocks]:
        """Take all free keys once, keep them alive while the body runs, release them after it."""
        held = await self.acquire(keys)
        if not held.owned:
            yield held
            return
        extender = asyncio.create_task(self._keep(held), name="lock-extender")
        try:
            yield held
        finally:
            await _end(extender)
            await self.release(held.token, held.owned)

    async def rounds(self, keys: Sequence[str]) -> AsyncGenerator[LockRound, None]:
        """Every key once: the free ones now, taken ones as they get free, the rest after the last wait.

        A round's keys are held, and extended, until the next round is asked for. Contended keys are tried
        again after 100, 200 and 400 ms; what is then still taken comes without a lock and is counted as
        failed. Without Redis all keys come at once.

        Asking for a round blocks for what is left of that wait (the work of the round before counts) and for
        two calls to Redis, each of `redis_call_s` at most. It raises nothing for Redis's sake; a lock that is
        lost during a round is not told. It may be called again for the same keys: whoever holds one of them
        then contends with itself. Keys of a round have no order. Use `contextlib.aclosing`, so that leaving
        early releases at once.
        """
        clock = asyncio.get_running_loop().time
        left = frozenset(keys)
        tried_at = clock()
        for wait_s in (0.0, *self._waits_s):
            await asyncio.sleep(tried_at + wait_s - clock())
            tried_at = clock()
            async with self.hold(tuple(left)) as held:
                ready = held.owned if held.is_available else left
                if ready:
                    yield LockRound(ready, held.owned)
            left -= ready
            if not left:
                return
        self._count_failures(len(left))
        yield LockRound(left, frozenset())

    async def _try(self, keys: tuple[str, ...], token: str) -> HeldLocks:
        if not keys:
            return HeldLocks(token, frozenset(), frozenset(), self._client.is_available)
        try:
            result = await self._client.run_script(_ACQUIRE, keys, (token, self._ttl_ms))
        except RedisUnavailable:
            return HeldLocks(token, frozenset(), frozenset(), is_available=False)
        owned = frozenset(key for key, got in zip(keys, result, strict=True) if got)
        return HeldLocks(token, owned, frozenset(keys) - owned, is_available=True)

    async def _keep(self, held: HeldLocks) -> None:
        while held.owned:
            await asyncio.sleep(self._ttl_s * _EXTEND_SHARE)
            held.owned = await self.extend(held.token, held.owned)

    @property
    def _ttl_ms(self) -> int:
        return max(1, round(self._ttl_s * 1000))


def _outcome(held: HeldLocks) -> str:
    if not held.is_available:
        return "unavailable"
    return "contended" if held.taken else "acquired"


def _waits(waits_s: tuple[float, ...], count: int) -> tuple[float, ...]:
    """The first `count` waits; where there are fewer, the last is repeated."""
    return waits_s[:count] + (waits_s[-1],) * (count - len(waits_s))


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel and await; an error of the task itself is a bug and is raised."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
