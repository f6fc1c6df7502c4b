"""Redis by the workers' own client: reached, and doing what they ask of it. Without it they go on, slower."""

import time
from dataclasses import replace
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError

from shared.coordination.checking import check_redis
from shared.coordination.client import RedisClient, RedisUnavailable
from shared.durations import DURATIONS
from shared.masking import mask_secrets, mask_url
from shared.settings.settings import Settings
from workers.cli.diagnosis.finding import Finding, Level, within_patience

SUBJECT: Final = "redis"
_START: Final = "start it (`wabus stack up` for a local one), or correct REDIS_URL"
#: What Redis 7 says of a command within a script.
_REFUSED: Final = "can't run this command"
#: What a user of Redis needs.
GRANT: Final = (
    "redis-cli acl setuser USER +@read +@write +@scripting +@connection +time ~lock:* ~mapping:* ~rate:*"
)
_DURATIONS: Final = replace(DURATIONS, redis_call_s=5.0)


async def diagnose_redis(settings: Settings) -> list[Finding]:
    """The server, by the scripts that workers run, on keys that expire."""
    url = settings.redis_url.get_secret_value()

    async def look(found: list[Finding]) -> None:
        client = RedisClient(url, _DURATIONS)
        try:
            await _look_at_server(client, found)
            found.append(await _writable(client))
        except RedisUnavailable as error:
            found.append(_unreached(error.__cause__ or error, url))
        finally:
            await client.close()

    return await within_patience(SUBJECT, _START, look)


async def _look_at_server(client: RedisClient, found: list[Finding]) -> None:
    await client.ping()
    started = time.perf_counter()
    await client.ping()
    latency_ms = round((time.perf_counter() - started) * 1000, 1)
    version = await _version(client)
    detail = f"version {version or 'not told'}, {latency_ms} ms"
    found.append(Finding(SUBJECT, "reached", Level.OK, detail, version=version, latency_ms=latency_ms))


async def _version(client: RedisClient) -> str | None:
    """None for a user who may not ask: no worker does."""
    try:
        info: dict[str, object] = await client.command("INFO", "server")
    except RedisUnavailable:
        return None
    return str(info["redis_version"])


async def _writable(client: RedisClient) -> Finding:
    try:
        await check_redis(client)
    except RedisUnavailable as error:
        told = mask_secrets(str(error.__cause__ or error))[:200]
        if isinstance(error.__cause__, NoPermissionError) or _REFUSED in told:
            return Finding(SUBJECT, "writable", Level.ERROR, f"refuses what workers run: {told}", GRANT)
        mend = "name the primary in REDIS_URL; `redis-cli info replication memory persistence` says why"
        return Finding(SUBJECT, "writable", Level.ERROR, f"takes no writes: {told}", mend)
    return Finding(SUBJECT, "writable", Level.OK, "takes writes and runs the scripts of workers")


def _unreached(error: BaseException, url: str) -> Finding:
    mend = _START
    if isinstance(error, AuthenticationError):
        mend = "correct the user or the password in REDIS_URL"
    text = mask_secrets(f"{type(error).__name__}: {error}")[:300]
    return Finding(SUBJECT, "reached", Level.ERROR, f"{mask_url(url)}: {text}", mend)
