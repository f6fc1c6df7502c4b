"""Redis: reached, and taking writes. Workers carry on without it, more slowly."""

import time
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from shared.coordination.reaching import Pool
from shared.masking import mask_secrets, mask_url
from shared.settings import Settings
from workers.cli.diagnosis.finding import Finding, Level, within_patience

SUBJECT: Final = "redis"
_START: Final = "start it (`wabus stack up` for a local one), or correct REDIS_URL"
_CONNECT_S: Final = 5.0


async def diagnose_redis(settings: Settings) -> list[Finding]:
    """The server, by a write of its own that expires at once."""
    url = settings.redis_url.get_secret_value()

    async def look(found: list[Finding]) -> None:
        redis: Any = Redis.from_pool(Pool(url, _CONNECT_S).connections)
        try:
            await _look_at_server(redis, found)
            found.append(await _writable(redis))
        except (RedisError, OSError) as error:
            found.append(_unreached(error, url))
        finally:
            await redis.aclose()

    return await within_patience(SUBJECT, _START, look)


async def _look_at_server(redis: Any, found: list[Finding]) -> None:
    info = await redis.info("server")
    started = time.perf_counter()
    await redis.ping()
    latency_ms = round((time.perf_counter() - started) * 1000, 1)
    version = str(info["redis_version"])
    detail = f"version {version}, {latency_ms} ms"
    found.append(Finding(SUBJECT, "reached", Level.OK, detail, version=version, latency_ms=latency_ms))


async def _writable(redis: Any) -> Finding:
    try:
        await redis.set("wabus:doctor", "1", px=1000)
    except RedisError as error:
        detail = f"takes no writes: {mask_secrets(str(error))[:200]}"
        mend = "name the primary in REDIS_URL; `redis-cli info replication memory persistence` says why"
        return Finding(SUBJECT, "writable", Level.ERROR, detail, mend)
    return Finding(SUBJECT, "writable", Level.OK, "takes writes")


def _unreached(error: Exception, url: str) -> Finding:
    mend = _START
    if isinstance(error, AuthenticationError):
        mend = "correct the user or the password in REDIS_URL"
    text = mask_secrets(f"{type(error).__name__}: {error}")[:300]
    return Finding(SUBJECT, "reached", Level.ERROR, f"{mask_url(url)}: {text}", mend)
