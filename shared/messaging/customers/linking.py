"""Two addresses made one person's by an operator: evidence like any other, that decides between two phones.

Owns what an operator is refused. What a join moves is `joining`'s; the way back, as far as there is one,
`unlinking`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from shared.amqp.broker import Publisher
from shared.durable.outbox import Outbox
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.evidence import AddressDoubt, AddressEvidence
from shared.messaging.customers.identities import follow
from shared.messaging.customers.notation import notations, platform_notation
from shared.messaging.customers.people import read_known
from shared.payloads.clock import CLOCK
from shared.postgres.audit import record_audit_of_each
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "unlinking.sql")
_REFUSALS: Final = {
    AddressDoubt.SHARED_DEVICE: "the two have more than 20 ids together: it may be a device that many share",
    AddressDoubt.TWO_PHONES: "they are of people with two phones: link the phones, or unlink one first",
}


class NotLinkable(WabusError):  # noqa: N818 - it says what happened
    """The two cannot be made one person's; the text says why."""


@dataclass(frozen=True, slots=True)
class Linking:
    """`customer` is both from now on, and `merged` no longer; None: they were one already.

    `stale_keys`: what Redis must forget.
    """

    customer: str
    merged: str | None
    stale_keys: Sequence[str]


async def check_linkable(database: Database, first: str, second: str) -> None:
    """Raises NotLinkable where anybody can see that it makes no sense; StoreError."""
    if platform_notation(first) == platform_notation(second):
        raise NotLinkable(f"{first} and {second} are one phone: there is nothing to link")
    for address in (first, second):
        known = await read_known(database, address)
        if any(
            row.doubt == AddressDoubt.OWN_NUMBER and row.address in (first, second) for row in known.addresses
        ):
            raise NotLinkable(f"{address} is a number of the business itself")


async def link(database: Database, publisher: Publisher, first: str, second: str, *, by: str) -> Linking:
    """Make one person of the two, of two phones named by the first; audited under both names.

    Raises NotLinkable, StoreError.
    """
    await check_linkable(database, first, second)
    outbox = Outbox(database, publisher, DURATIONS)
    evidence = AddressEvidence(second, first, "operator", CLOCK.now(), uuid4().hex)
    async with database.transaction() as connection:
        verdict, joined = await follow(connection, evidence, first)
        if verdict.doubt is not None:
            raise NotLinkable(f"{first} and {second}: {_REFUSALS.get(verdict.doubt, verdict.doubt)}")
        await connection.execute(_QUERIES["forgive"], [*notations(first), *notations(second)])
        await outbox.record(connection, joined.events)
        subjects = [audit_subject(name) for name in (verdict.stays, verdict.gone) if name is not None]
        await record_audit_of_each(
            connection,
            actor=by,
            action="profile.link",
            subjects=subjects,
            details={"joined": verdict.gone is not None},
        )
    await outbox.publish(joined.events)
    return Linking(verdict.stays, verdict.gone, joined.stale_keys)
