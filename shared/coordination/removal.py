"""Keys by their names: how many Redis holds, and none of them any more."""

from collections.abc import Sequence

from shared.coordination.client import RedisClient


async def count_keys(redis: RedisClient, keys: Sequence[str]) -> int:
    """How many of these keys Redis holds. Raises RedisUnavailable."""
    return int(await redis.command("EXISTS", *keys))


async def remove_keys(redis: RedisClient, keys: Sequence[str]) -> int:
    """Remove these keys; returns how many there were. Raises RedisUnavailable."""
    return int(await redis.command("UNLINK", *keys))
