"""One request to a worker's own HTTP server."""

from typing import Any

import aiohttp
import orjson


async def get(url: str, path: str) -> tuple[int, Any]:
    """Status and body of an answer; JSON is read, text is given as it is."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url + path) as answer:
        body = await answer.read()
        return answer.status, orjson.loads(
            body
        ) if answer.content_type == "application/json" else body.decode()
