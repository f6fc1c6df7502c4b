"""Fixtures that every suite may use, and how property tests run."""

import signal

import pytest
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
    """How long a wait may be in vain: a run that expects failures need not wait a minute for each."""
    parser.addoption("--patience", type=float, help="seconds until a wait gives up (default 60)")


def pytest_configure(config: pytest.Config) -> None:
    """Take the patience of this run, and Ctrl-C, which a script's background job and its children ignore."""
    Patience.seconds = config.getoption("--patience") or Patience.seconds
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
