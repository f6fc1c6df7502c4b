"""Following what the platform calls a customer: evidence of whose an address is, and where replies go.

Owns that this is done after what it was said with, in transactions of its own: whatever is wrong here, a
message's result and a status stand. What was not followed is said again with the next answer or status.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from shared.durable.outbox import Outbox
from shared.errors import StoreConflict, StoreDataError
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.conversations.mappings import name_customers
from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import Identities
from shared.messaging.customers.named import NamedCustomer
from shared.messaging.customers.notation import AddressKind, is_phone, kind_of
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.postgres.queries import Queries

logger = get_logger(__name__)
_QUERIES: Final = Queries("shared.messaging.customers", "following.sql")


class Follower:
    """Follows named customers, for the sender and whoever applies statuses. May be repeated."""

    def __init__(self, database: Database, outbox: Outbox, cache: MappingCache, metrics: Metrics) -> None:
        self._database = database
        self._identities = Identities(database, outbox, cache, metrics)

    async def follow(self, named: Sequence[NamedCustomer]) -> list[None]:
        """Follow all of them; each is done by itself where one of them raises StoreError."""
        columns = zip(*map(_kept, named), strict=True)
        await self._database.fetch(_QUERIES["keep_customers"], *map(list, columns))
        await self._identities.learn([evidence for item in named for evidence in _evidence(item)])
        async with self._database.transaction() as connection:
            rows = [(item.naming.message_id, item.wa_id, item.user_id) for item in named]
            await name_customers(connection, rows)
        return [None] * len(named)

    async def follow_as_may_be(self, named: Sequence[NamedCustomer]) -> None:
        """Follow as many as can be followed; the others are told of in the log. Raises nothing."""
        try:
            await self.follow(named)
        except (StoreConflict, StoreDataError) as error:
            if len(named) == 1:
                _tell(named, error)
            else:
                for item in named:
                    await self.follow_as_may_be([item])
        except Exception as error:
            _tell(named, error)


def _kept(item: NamedCustomer) -> tuple[str, AddressKind, str, datetime]:
    """The customer as an address: one that the platform named, or that follows from another notation."""
    customer, naming = item.mapped.customer, item.naming
    return customer, kind_of(customer), naming.source if item.wa_id == customer else "rule", naming.at


def _evidence(item: NamedCustomer) -> Iterator[AddressEvidence]:
    """What is said of their person, by each address that is new; an id beside another phone is that one's."""
    naming, customer = item.naming, item.mapped.customer
    beside = item.wa_id if item.wa_id is not None and is_phone(item.wa_id) else customer
    for address, other in ((customer, item.wa_id), (beside, item.user_id)):
        if other is not None and other not in (customer, item.mapped.user_id):
            yield AddressEvidence(address, other, naming.source, naming.at, naming.trace_id)


def _tell(named: Sequence[NamedCustomer], error: Exception) -> None:
    logger.warning(
        "what the platform calls the customers of %d messages is not followed: %s",
        len(named),
        error,
        extra=fields(operation=Operation.OUTBOUND_RESOLUTION, trace_id=named[0].naming.trace_id),
    )
