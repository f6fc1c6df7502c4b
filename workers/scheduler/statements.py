"""The scheduler's statements."""

from shared.postgres.queries import Queries

QUERIES = Queries("workers.scheduler")
