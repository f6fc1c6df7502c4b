"""What the resolver reads and writes in PostgreSQL; its statements stand in `queries.sql`.

Owns transactions and rows in and out; decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from shared.durations import Durations
from shared.errors import StoreConflict, StoreDataError
from shared.ids import time_ordered_uuid
from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import Identities
from shared.messaging.customers.notation import kind_of
from shared.messaging.messages.inbound import (
    claim_publications,
    extend_claims,
    keep_mended,
    mark_published,
)
from shared.observability.tracing import trace_key
from shared.payloads import InboundMessage
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from shared.values import value
from workers.inbound_resolver.consents import ConsentKeeper
from workers.inbound_resolver.identity import changes_of, ids_of, pairs_of
from workers.inbound_resolver.intake import Inbound

QUERIES = Queries("workers.inbound_resolver")


class _TwoPersonsError(Exception):
    """Ids beside addresses are other persons' yet: they are joined before their messages are tracked."""

    def __init__(self, evidences: Sequence[AddressEvidence]) -> None:
        super().__init__("two persons turn out to be one")
        self.evidences = evidences


@value()
class Resolved:
    """To whom a message belongs. `claimed`: it is ours to publish; `known`: it had been tracked before."""

    customer: str
    mapping_id: UUID
    conversation_id: str | None
    is_new_conversation: bool
    published: bool
    claimed: bool
    known: bool
    opened: bool


class MessageStore:
    """Tracks inbound messages and their publication."""

    def __init__(
        self,
        database: Database,
        identities: Identities,
        consents: ConsentKeeper,
        durations: Durations,
        default_number: str,
    ) -> None:
        self._database = database
        self._identities = identities
        self._consents = consents
        self._lease = timedelta(seconds=durations.publish_claim_s)
        self._default_number = default_number
        self._claimant = uuid4()

    def number_of(self, message: InboundMessage) -> str:
        """The business number a message came to."""
        return message.phone_number_id or self._default_number

    async def resolve(self, inbounds: Sequence[Inbound]) -> dict[str, Resolved]:
        """Track each message once and say to whom it belongs, by wamid. Wamids are distinct.

        What they tell of a customer's addresses is followed first, as far as it makes one person of two.
        Raises StoreConflict where another replica tracked one of them between our look and our insert.
        """
        systems = [item for item in inbounds if item.message.message_type == "system"]
        if changes := [told for item in systems for told in changes_of(item.message, item.trace_id)]:
            await self._identities.learn(changes)
        resolved = await self._register_persons(inbounds)
        wamids = [inbound.message.wamid for inbound in inbounds]
        known = [wamid for wamid in wamids if wamid not in resolved]
        return resolved | await self._find_known(known) if known else resolved

    async def extend_claims(self, wamids: Sequence[str]) -> None:
        """Keep those of these claims that are still ours."""
        await extend_claims(self._database, wamids, self._lease, self._claimant)

    async def keep_mended(self, mended: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what came in place of the characters that were replaced, by wamid."""
        await keep_mended(self._database, mended)

    async def mark_published(self, wamids: Sequence[str]) -> None:
        """Their publication is confirmed: never again."""
        await mark_published(self._database, wamids)

    async def _register_persons(self, inbounds: Sequence[Inbound]) -> dict[str, Resolved]:
        try:
            return await self._register(inbounds, joins=True)
        except _TwoPersonsError as split:
            await self._identities.learn(split.evidences)
        except StoreDataError as error:
            if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise
            holders = [(self.number_of(item.message), item.address) for item in inbounds]
            await self._identities.adopt(holders, inbounds[0].trace_id)
        return await self._register(inbounds, joins=False)

    async def _register(self, inbounds: Sequence[Inbound], *, joins: bool) -> dict[str, Resolved]:
        """`joins`: raise _TwoPersonsError rather than track the message of a person in two halves."""
        *columns, notations, kinds, parents = zip(*map(self._columns, inbounds), strict=True)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                QUERIES["register"],
                *map(list, columns),
                self._lease,
                self._claimant,
                list(notations),
                list(kinds),
                list(parents),
            )
            if not all(row["tracked"] for row in rows):
                raise StoreConflict("another replica tracked one of these messages at the same time")
            told = _compare(inbounds, rows)
            if joins and told.of_others:
                raise _TwoPersonsError(told.of_others)
            by_wamid = {row["wamid"]: row for row in rows}
            new = [item for item in inbounds if item.message.wamid in by_wamid]
            kept = await self._consents.keep(connection, new, by_wamid)
        await self._consents.tell(kept)
        await self._identities.learn(told.new)
        return {
            row["wamid"]: Resolved(
                customer=row["customer"],
                mapping_id=row["mapping_id"],
                conversation_id=row["conversation_id"],
                is_new_conversation=row["is_new_conversation"],
                published=False,
                claimed=True,
                known=False,
                opened=row["opened"] and row["is_new_conversation"],
            )
            for row in rows
        }

    async def _find_known(self, wamids: Sequence[str]) -> dict[str, Resolved]:
        rows = await self._database.fetch(QUERIES["find_known"], list(wamids))
        waiting = [row["wamid"] for row in rows if not row["published"]]
        claimed = await claim_publications(self._database, waiting, self._lease, self._claimant)
        return {
            row["wamid"]: Resolved(
                customer=row["customer"],
                mapping_id=row["mapping_id"],
                conversation_id=row["conversation_id"],
                is_new_conversation=row["is_new_conversation"],
                published=row["published"],
                claimed=row["wamid"] in claimed,
                known=True,
                opened=False,
            )
            for row in rows
        }

    def _columns(self, inbound: Inbound) -> tuple[object, ...]:
        message = inbound.message
        return (
            time_ordered_uuid(),
            message.wamid,
            self.number_of(message),
            inbound.address,
            message.user_id,
            message.contact_name,
            message.display_phone_number,
            message.message_type,
            message.media_url,
            message.timestamp,
            trace_key(inbound.trace_id),
            inbound.notation,
            kind_of(inbound.notation),
            message.parent_user_id,
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """What messages tell beside their addresses: ids that nobody knew, and such as are another person's."""

    new: Sequence[AddressEvidence]
    of_others: Sequence[AddressEvidence]


def _compare(inbounds: Sequence[Inbound], rows: Sequence[asyncpg.Record]) -> _Told:
    """Nothing in the ordinary case: an id is known to be its customer's, or was doubted just now. Pure."""
    new: list[AddressEvidence] = []
    of_others: list[AddressEvidence] = []
    telling = [item for item in inbounds if item.message.user_id or item.message.parent_user_id]
    found = {row["wamid"]: row for row in rows} if telling else {}
    for inbound in telling:
        message = inbound.message
        row = found.get(message.wamid)
        if row is None or row["is_doubted"]:
            continue
        owners = {message.user_id: row["owner_of_id"], message.parent_user_id: row["owner_of_parent_id"]}
        for item, evidence in zip(ids_of(message), pairs_of(message, inbound.trace_id), strict=True):
            if owners[item] is None:
                new.append(evidence)
            elif owners[item] != row["customer"]:
                of_others.append(evidence)
    return _Told(new, of_others)
