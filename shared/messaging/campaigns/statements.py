"""The statements of `queries.sql`, for the modules of this package."""

from typing import Final

from shared.postgres.queries import Queries

QUERIES: Final = Queries("shared.messaging.campaigns")
