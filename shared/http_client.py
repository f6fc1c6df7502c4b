"""The one way to the Cloud API: its session and its proxy, for those who send and for those who look.

Honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in capitals or not. Nothing else is taken from the machine: the
password file `~/.netrc` that goes with these variables in the client would stand against our token.
"""

import ssl
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp

from shared.durations import Durations
from shared.errors import SettingsError

#: Requests at once; what a process has in hand is fewer, so none waits for a connection.
_CONNECTIONS: Final = 2000
#: Shorter than servers keep idle connections: one that they close as we use it makes a message ambiguous.
_KEEP_ALIVE_S: Final = 10.0
_DNS_S: Final = 60


def open_session(durations: Durations, trace: aiohttp.TraceConfig | None = None) -> aiohttp.ClientSession:
    """A session of its own. Use it within the loop in which it is made, and close it.

    Authorities are read when it is opened; the client alone would read them when it is imported.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=ssl.create_default_context(),
            limit=_CONNECTIONS,
            keepalive_timeout=_KEEP_ALIVE_S,
            ttl_dns_cache=_DNS_S,
        ),
        timeout=aiohttp.ClientTimeout(total=durations.http_timeout_s, connect=durations.claim_start_s),
        trace_configs=[] if trace is None else [trace],
    )


def find_proxy(url: str) -> str | None:
    """The proxy by which a URL is reached, as the environment says; None where it is reached directly.

    Raises SettingsError for one that we cannot speak to.
    """
    parts = urlsplit(url)
    proxy = getproxies_environment().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname:
        raise SettingsError(f"{parts.scheme.upper()}_PROXY: must name an http:// or https:// proxy")
    return proxy
