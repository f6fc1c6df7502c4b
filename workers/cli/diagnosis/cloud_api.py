"""The Cloud API: an HTTP answer from each address that is sent to, and a token for each number.

Nothing is sent. The sender's own session and proxy are used, so that what is reached here is reached there.
"""

import asyncio
import time
from dataclasses import replace
from typing import Final

import aiohttp

from shared.durations import DURATIONS
from shared.errors import SettingsError
from shared.http_client import find_proxy, open_session
from shared.masking import mask_secrets, mask_url
from shared.settings.settings import Settings
from workers.cli.diagnosis.finding import Finding, Level, within_patience

SUBJECT: Final = "cloud-api"
_DURATIONS: Final = replace(DURATIONS, http_timeout_s=5.0)


async def diagnose_cloud_api(settings: Settings) -> list[Finding]:
    """Every address of the settings at once, and the tokens."""
    numbers = [settings.whatsapp_phone_number_id, *settings.whatsapp_numbers]
    needed = {number.api_url: False for number in map(settings.number, numbers)}
    needed |= {number.api_url: True for number in map(settings.number, numbers) if number.token is not None}
    looked = await asyncio.gather(*(_diagnose_address(url, settings, needed[url]) for url in sorted(needed)))
    return [finding for found in looked for finding in found] + [_tokens(settings)]


async def _diagnose_address(url: str, settings: Settings, is_needed: bool) -> list[Finding]:
    """An address for which there is no token is not sent to: that it is away is only worth a warning."""
    mend = f"curl -sS {url} from here: correct WHATSAPP_API_URL, the proxy or the firewall"

    async def look(found: list[Finding]) -> None:
        started = time.perf_counter()
        way = url
        try:
            if proxy := find_proxy(url):
                way = f"{url} by way of the proxy {mask_url(proxy)}"
            async with (
                open_session(_DURATIONS) as session,
                session.get(
                    f"{url}/{settings.whatsapp_api_version}/", proxy=proxy, allow_redirects=False
                ) as response,
            ):
                latency_ms = round((time.perf_counter() - started) * 1000, 1)
                found.append(_answered(way, response.status, latency_ms, mend))
        except (aiohttp.ClientError, TimeoutError, OSError, SettingsError) as error:
            text = mask_secrets(f"{type(error).__name__}: {error}")[:300]
            level = Level.ERROR if is_needed else Level.WARN
            found.append(Finding(SUBJECT, "reached", level, f"{way}: {text}", mend))

    return await within_patience(SUBJECT, mend, look)


def _answered(url: str, status: int, latency_ms: float, mend: str) -> Finding:
    """Without a token any answer below 500 will do."""
    ill = status >= 500
    return Finding(
        SUBJECT,
        "reached",
        Level.WARN if ill else Level.OK,
        f"{url} answers HTTP {status}, {latency_ms} ms",
        mend if ill else None,
        latency_ms=latency_ms,
    )


def _tokens(settings: Settings) -> Finding:
    """The default number needs none where every message names one of the others."""
    named = list(settings.whatsapp_numbers) or [settings.whatsapp_phone_number_id]
    without = [number for number in named if settings.number(number).token is None]
    if not without:
        return Finding(SUBJECT, "token", Level.OK, f"set for {', '.join(named)}")
    mend = "set WHATSAPP_ACCESS_TOKEN or WHATSAPP_ACCESS_TOKEN_FILE, or a token in WHATSAPP_NUMBERS_FILE"
    return Finding(SUBJECT, "token", Level.WARN, f"none for {', '.join(without)}: nothing can be sent", mend)
