"""Fixtures that every suite may use, and how property tests run."""

from hypothesis import HealthCheck, settings

from tests.support.cluster import cluster, redis_url, virtual_host
from tests.support.databases import conn, database_url, empty_database, migrated_template
from tests.support.sending import sender
from tests.support.servers import servers

__all__ = [
    "cluster",
    "conn",
    "database_url",
    "empty_database",
    "migrated_template",
    "redis_url",
    "sender",
    "servers",
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
