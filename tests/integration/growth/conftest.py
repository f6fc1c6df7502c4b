"""The big database, once for all that is measured in it."""

from collections.abc import Iterator

import pytest

from tests.integration.growth.big_database import big_database
from tests.support.servers import Servers


@pytest.fixture(scope="module")
def big_url(servers: Servers) -> Iterator[str]:
    """The URL of a database whose growing tables have 200,000 rows. Whoever uses it leaves it as it is."""
    with big_database(servers.database_url) as url:
        yield url
