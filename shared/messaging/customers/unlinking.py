"""Giving an address back to itself, where an operator says that it is another person's.

What goes with it is what can be told to be its own: its row in every notation; the conversations last used
under it in whose time no other address of the person was seen, with their messages; its places in campaigns.
A conversation in which both may have written stays with the person it is taken from, for nobody may read what
another wrote. A refusal holds for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.coordination.keys import conversation_key, customer_key
from shared.errors import WabusError
from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.consent import share_refusals
from shared.messaging.customers.notation import notations, platform_notation
from shared.messaging.customers.people import KnownCustomer, read_known
from shared.postgres.audit import record_audit_of_each
from shared.postgres.database import Connection, Database, touched
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "unlinking.sql")


class NotLinked(WabusError):  # noqa: N818 - it says what happened
    """The address cannot be taken from the person; the text says why, and what can be done."""


@dataclass(frozen=True, slots=True)
class Unlinking:
    """`address` is the customer `customer` from now on, and no longer `before`.

    `conversations`, `recipients`: how many went with it. `stale_keys`: what Redis must forget.
    """

    address: str
    customer: str
    before: str
    conversations: int
    recipients: int
    stale_keys: Sequence[str]


async def find_linked(database: Database, address: str) -> KnownCustomer:
    """The person whom the address would be taken from. Raises NotLinked, StoreError."""
    known = await read_known(database, address)
    _judge(known, address)
    return known


async def unlink(database: Database, address: str, *, by: str) -> Unlinking:
    """Make a customer of its own of the address; audited under both. Raises NotLinked, StoreError."""
    async with database.transaction() as connection:
        before = await read_known(connection, address)
        await connection.fetch(_QUERIES["lock_addresses"], before.customer)
        known = await read_known(connection, address)
        _judge(known, address)
        unlinking = await _take(connection, known, address)
        await record_audit_of_each(
            connection,
            actor=by,
            action="profile.unlink",
            subjects=[audit_subject(known.customer), audit_subject(unlinking.customer)],
            details={"conversations": unlinking.conversations, "recipients": unlinking.recipients},
        )
    return unlinking


def _judge(known: KnownCustomer, address: str) -> None:
    own = platform_notation(address)
    rows = {row.address: row for row in known.addresses}
    row = rows.get(own) or rows.get(address)
    if row is not None and row.released_at is not None:
        raise NotLinked(f"{address} was given up already: whoever writes from it is somebody new")
    if known.customer != own:
        if row is None:
            raise NotLinked(f"{address} is known by conversations of before alone: wait until they are read")
        return
    others = [
        row.address
        for row in known.addresses
        if row.released_at is None and platform_notation(row.address) != own
    ]
    if not others:
        raise NotLinked(f"{address} is linked to no other address")
    raise NotLinked(
        f"{address} is what the customer is named by: unlink the others from it: {', '.join(others)}"
    )


async def _take(connection: Connection, known: KnownCustomer, address: str) -> Unlinking:
    customer, own, spelled = known.customer, platform_notation(address), list(notations(address))
    mappings = await connection.fetch(_QUERIES["find_own_mappings"], known.names, spelled, customer)
    await connection.execute(_QUERIES["free_addresses"], customer, spelled, own)
    ids = [row["id"] for row in mappings]
    moved = touched(await connection.execute(_QUERIES["move_mappings"], ids, own))
    await connection.execute(_QUERIES["move_deferred"], ids, own)
    recipients = touched(await connection.execute(_QUERIES["move_recipients"], known.names, spelled, own))
    await share_refusals(connection, customer, own)
    numbers = await connection.fetch(_QUERIES["numbers"], [customer, own])
    keys = [customer_key(row[0], name) for row in numbers for name in {*known.names, own, *spelled}]
    keys += [conversation_key(row["conversation_id"]) for row in mappings if row["conversation_id"]]
    return Unlinking(address, own, customer, moved, recipients, sorted(keys))
