"""Fixtures that every suite may use, and how property tests run."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.support.cluster import cluster, redis_url, virtual_host
from tests.support.databases import administrator, conn, database_url, empty_database, migrated_template
from tests.support.own_rabbitmq import own_rabbitmq
from tests.support.sending import sender
from tests.support.servers import servers, session_stack
from tests.support.waiting import Patience

__all__ = [
    "administrator",
    "cluster",
    "conn",
    "database_url",
    "empty_database",
    "migrated_template",
    "own_rabbitmq",
    "redis_url",
    "sender",
    "servers",
    "session_stack",
    "virtual_host",
]

#: The same examples everywhere, on a slow machine, too.
settings.register_profile(
    "wabus",
    derandomize=True,
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wabus")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long a wait may be in vain (shorter where failures are expected), and what runs by hand."""
    parser.addoption("--patience", type=float, help="seconds until a wait gives up (default 60)")
    parser.addoption("--all-zones", action="store_true", help="quiet hours in 40 zones: minutes of work")


def pytest_configure(config: pytest.Config) -> None:
    """Take the patience of this run, and Ctrl-C, which a script's background job and its children ignore."""
    Patience.seconds = config.getoption("--patience") or Patience.seconds
    os.environ.setdefault("SSL_CERT_FILE", os.devnull)  # nobody's server here has a certificate of theirs
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Workers in a test's process run on the loop that production's run on, which takes less of a core."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Thousands of tests stay as they are: the garbage collector need not look at them again and again.

    What a test leaves in circles is looked for less often, which takes a tenth of the time off.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
