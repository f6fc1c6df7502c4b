"""Fixtures that every suite may use."""

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
