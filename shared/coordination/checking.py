"""Whether Redis does what workers ask of it: their own scripts and commands, on keys like theirs.

A PING or a plain write would pass where scripts, or a command within one, are refused by an ACL.
"""

import secrets
import time
from typing import Final

from shared.coordination.client import RedisClient, Script
from shared.coordination.keys import customer_key, mapping_lock_key
from shared.coordination.permits import Ask
from shared.coordination.rate_shared import SharedRates
from shared.durations import DURATIONS

_ACQUIRE: Final = Script.load("lock_acquire")
_EXTEND: Final = Script.load("lock_extend")
_RELEASE: Final = Script.load("lock_release")
_CACHE: Final = Script.load("cache_set")
#: No business number has a colon.
_NUMBER: Final = "wabus:probe"
_LIFE_MS: Final = 1000


async def check_redis(client: RedisClient) -> float:
    """Milliseconds of one call. Raises RedisUnavailable where any of them fails."""
    lock, cached, token = mapping_lock_key(_NUMBER, "0"), customer_key(_NUMBER, "0"), secrets.token_hex(16)
    started_at = time.perf_counter()
    await client.run_script(_ACQUIRE, (lock,), (token, _LIFE_MS))
    took_ms = (time.perf_counter() - started_at) * 1000
    await client.run_script(_EXTEND, (lock,), (token, _LIFE_MS))
    await client.run_script(_RELEASE, (lock,), (token,))
    await SharedRates(client, DURATIONS).permit(Ask(_NUMBER, "0", "reply", 1, 0))
    await client.run_script(_CACHE, (cached,), (_LIFE_MS, b"{}"))
    await client.command("MGET", cached)
    await client.command("UNLINK", cached)
    return took_ms
