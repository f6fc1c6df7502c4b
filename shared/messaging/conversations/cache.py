"""The mapping cache: which mapping a customer, or a conversation, belongs to.

Owns keys, values and their life. It is a hint: written after the database's commit, removed when a mapping
closes or expires, never trusted for a write. Without Redis every look-up is a miss.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from uuid import UUID

import orjson

from shared.coordination.client import RedisClient, RedisUnavailable, Script
from shared.coordination.keys import conversation_key, customer_key
from shared.durations import DURATIONS, Durations
from shared.values import value

_SET: Final = Script.load("cache_set")


@value()
class CachedMapping:
    """An active mapping as it was when it was last written through."""

    mapping_id: UUID
    wa_id: str
    phone_number_id: str
    conversation_id: str | None


def keys_of(mapping: CachedMapping) -> tuple[str, ...]:
    """Every key under which a mapping is cached."""
    customer = customer_key(mapping.phone_number_id, mapping.wa_id)
    if mapping.conversation_id is None:
        return (customer,)
    return (customer, conversation_key(mapping.conversation_id))


class MappingCache:
    """Batch look-ups and writes, one round trip each. Never raises for Redis's sake.

    `observe(operation, result, n)` counts keys: `get` with `hit`, `miss` or `error`; `set` and `remove` with
    `ok` or `error`.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        observe: Callable[[str, str, int], None],
        durations: Durations = DURATIONS,
    ) -> None:
        self._client = client
        self._observe = observe
        self._ttl_ms = max(1, round(durations.cache_ttl_s * 1000))

    async def get_many(self, keys: Sequence[str]) -> dict[str, CachedMapping]:
        """The mappings found, by key. A value that cannot be read is a miss, and is removed."""
        if not keys:
            return {}
        try:
            values = await self._client.command("MGET", *keys)
        except RedisUnavailable:
            self._count("get", "error", len(keys))
            return {}
        stored = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        found = {key: mapping for key, value in stored.items() if (mapping := _decode(value)) is not None}
        self._count("get", "hit", sum(key in found for key in keys))
        self._count("get", "miss", sum(key not in found for key in keys))
        await self.remove_many([key for key in stored if key not in found])
        return found

    async def set_many(self, mappings: Iterable[CachedMapping]) -> None:
        """Write mappings under all their keys, for 24 h; of two for one key the later stands."""
        # `default`: asyncpg returns a UUID class of its own.
        values = {key: orjson.dumps(mapping, default=str) for mapping in mappings for key in keys_of(mapping)}
        if not values:
            return
        try:
            await self._client.run_script(_SET, tuple(values), (self._ttl_ms, *values.values()))
        except RedisUnavailable:
            self._count("set", "error", len(values))
        else:
            self._count("set", "ok", len(values))

    async def remove_many(self, keys: Sequence[str]) -> None:
        """Remove keys, whether they are there or not."""
        if not keys:
            return
        try:
            await self._client.command("UNLINK", *keys)
        except RedisUnavailable:
            self._count("remove", "error", len(keys))
        else:
            self._count("remove", "ok", len(keys))

    def _count(self, operation: str, result: str, count: int) -> None:
        if count:
            self._observe(operation, result, count)


def _decode(value: bytes) -> CachedMapping | None:
    try:
        match orjson.loads(value):
            case {
                "mapping_id": str(mapping_id),
                "wa_id": str(wa_id),
                "phone_number_id": str(phone_number_id),
                "conversation_id": str() | None as conversation_id,
            }:
                return CachedMapping(UUID(mapping_id), wa_id, phone_number_id, conversation_id)
            case _:
                return None
    except ValueError:  # not JSON (orjson's error is a ValueError), or not a UUID
        return None
