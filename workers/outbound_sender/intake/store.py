"""Rows of new messages: found, addressed, inserted. The statements stand in `queries.sql`.

Owns rows in and out; what they mean is decided in `admission`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from shared.amqp.headers import trace_of
from shared.durable.deferral import stored_headers
from shared.durable.stored_bodies import put_off
from shared.ids import time_ordered_uuid
from shared.messaging.conversations.mappings import open_mappings
from shared.messaging.customers.notation import platform_notation
from shared.postgres.database import Database
from shared.postgres.queries import Queries
from workers.outbound_sender.calling.graph_body import message_type
from workers.outbound_sender.intake.candidates import Candidate
from workers.outbound_sender.message import EARLIER_MESSAGE

_QUERIES = Queries("workers.outbound_sender.intake")


@dataclass(frozen=True, slots=True)
class Address:
    """A mapping, and the person in it; `wa_id`: where the platform named them last.

    `hinted`: the cache named it, nobody has looked whether it is still active.
    """

    mapping_id: UUID
    number: str
    customer: str
    wa_id: str
    conversation_id: str | None
    status: str = "active"
    hinted: bool = False


@dataclass(frozen=True, slots=True)
class PersonAtNumber:
    """A person at a number, where any active mapping will do; `wa_id`: how the publisher called them."""

    number: str
    customer: str
    wa_id: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.number, self.customer


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A row that has a candidate's ids. `content_hash` is None for a replay, which needs no comparison."""

    id: UUID
    status: str
    content_hash: bytes | None
    address: Address


@dataclass(frozen=True, slots=True)
class Unburied:
    """How a message failed that has no dead letter yet. `http_status` is that of its last attempt."""

    code: str
    text: str
    http_status: int | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay finds: the failed message it repeats, and the row of an earlier copy of the replay."""

    base_id: UUID
    base_status: str
    known: KnownMessage


@dataclass(frozen=True, slots=True)
class Fresh:
    """A message to be tracked."""

    id: UUID
    candidate: Candidate
    address: Address
    replay_of: UUID | None

    @property
    def number(self) -> str:
        return self.address.number

    @property
    def chain(self) -> tuple[str, str, str]:
        """Whose messages it must stay in order with."""
        return (self.address.number, self.address.customer, self.candidate.lane)


@dataclass(frozen=True, slots=True)
class Tracked:
    """Whose each new message is, by their mapping when it was tracked, and which are put off already."""

    new: dict[UUID, str]
    stored: set[UUID]


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """Rows that have one of a candidate's ids; and, where it names an address, whose that is."""

    rows: dict[Candidate, list[KnownMessage]]
    customers: dict[Candidate, str]


class IntakeStore:
    """Reads and writes for the intake."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_known(self, candidates: Sequence[Candidate]) -> KnownBefore:
        """Rows that have one of a candidate's ids, and whose the addresses are."""
        known = KnownBefore({}, {})
        if not candidates:
            return known
        places = list(range(len(candidates)))
        genesys_ids = [item.payload.genesys_message_id for item in candidates]
        client_ids = [item.payload.client_message_id for item in candidates]
        addresses = [_notation(item.payload.wa_id) for item in candidates]
        rows = await self._database.fetch(_QUERIES["find_known"], places, genesys_ids, client_ids, addresses)
        for row in rows:
            candidate = candidates[row["place"]]
            if row["whose"] is not None:
                known.customers[candidate] = row["whose"]
            if row["id"] is not None:
                found = KnownMessage(row["id"], row["status"], row["content_hash"] or b"", _address(row))
                known.rows.setdefault(candidate, []).append(found)
        return known

    async def find_replayed(self, candidates: Sequence[Candidate]) -> dict[Candidate, Replayed]:
        """What replays repeat; one whose message was never tracked is not among them."""
        if not candidates:
            return {}
        places = list(range(len(candidates)))
        messages = [item.replayed_message for item in candidates]
        genesys_ids = [item.payload.genesys_message_id for item in candidates]
        client_ids = [item.payload.client_message_id for item in candidates]
        rows = await self._database.fetch(
            _QUERIES["find_replayed"], places, messages, genesys_ids, client_ids
        )
        return {
            candidates[row["place"]]: Replayed(
                row["base_id"],
                row["base_status"],
                KnownMessage(row["id"], row["status"], None, _address(row)),
            )
            for row in rows
        }

    async def find_unburied(self, failed: Iterable[UUID]) -> dict[UUID, Unburied]:
        """Of failed messages those without a dead letter."""
        rows = await self._database.fetch(_QUERIES["find_unburied"], list(failed))
        return {row["id"]: Unburied(row["code"] or "", row["text"], row["http_status"]) for row in rows}

    async def find_conversations(self, conversation_ids: Iterable[str]) -> dict[str, Address]:
        """The mapping that decides for each conversation id that is known."""
        asked = sorted(set(conversation_ids))
        if not asked:
            return {}
        rows = await self._database.fetch(_QUERIES["find_conversations"], asked)
        return {row["asked"]: _address(row, row["status"]) for row in rows}

    async def find_numbers(self, customers: Iterable[str]) -> dict[str, str]:
        """By customer, the number of their latest active mapping."""
        asked = sorted(set(customers))
        if not asked:
            return {}
        rows = await self._database.fetch(_QUERIES["find_numbers"], asked)
        return {row["customer"]: row["number"] for row in rows}

    async def find_or_open(
        self, destinations: Iterable[PersonAtNumber]
    ) -> tuple[dict[tuple[str, str], Address], int]:
        """Active mappings by (number, customer), opened where there are none; and how many were opened."""
        missing = {item.pair: item for item in destinations}
        found: dict[tuple[str, str], Address] = {}
        opened = 0
        while missing:
            found |= _by_pair(await self._find_active(list(missing.values())))
            if missing := {pair: item for pair, item in missing.items() if pair not in found}:
                rows = [(item.number, item.customer, item.wa_id) for item in missing.values()]
                fresh = _by_pair(await open_mappings(self._database, rows))
                opened += len(fresh)
                found |= fresh
                missing = {pair: item for pair, item in missing.items() if pair not in found}
        return found, opened

    async def find_locked(self, mapping_ids: Iterable[UUID]) -> set[UUID]:
        """Those of the mappings that another session keeps locked; asks without waiting."""
        rows = await self._database.fetch(_QUERIES["find_locked"], list(mapping_ids))
        return {row["id"] for row in rows}

    async def track(self, messages: Sequence[Fresh], without_hand: Sequence[Fresh]) -> Tracked:
        """Insert rows and bodies, and put off those of them that have no hand, as far as that is simple.

        In one transaction: a burst costs a commit for hundreds.
        """
        columns = zip(*map(_columns, messages), strict=True)
        database = self._database
        async with database.transaction() if without_hand else database.connection() as connection:
            rows = await connection.fetch(_QUERIES["track"], *map(list, columns))
            new = {row["id"]: row["customer"] for row in rows}
            waiting = [
                (item.id, item.candidate.payload.expires_at) for item in without_hand if item.id in new
            ]
            stored = await put_off(connection, waiting, EARLIER_MESSAGE) if waiting else set()
        return Tracked(new, stored)

    async def _find_active(self, destinations: Sequence[PersonAtNumber]) -> Sequence[asyncpg.Record]:
        rows = [(item.number, item.customer, item.wa_id) for item in destinations]
        return await self._database.fetch(_QUERIES["find_active"], *map(list, zip(*rows, strict=True)))


def new_message(candidate: Candidate, address: Address, replay_of: UUID | None) -> Fresh:
    """A row to be, with an id that rises in the order of making."""
    return Fresh(time_ordered_uuid(), candidate, address, replay_of)


def _by_pair(rows: Iterable[asyncpg.Record]) -> dict[tuple[str, str], Address]:
    return {(row["number"], row["asked"]): _address(row) for row in rows}


def _address(row: Any, status: str = "active") -> Address:
    return Address(
        row["mapping_id"], row["number"], row["customer"], row["wa_id"], row["conversation_id"], status
    )


def _notation(wa_id: str | None) -> str | None:
    return None if wa_id is None else platform_notation(wa_id)


def _columns(message: Fresh) -> tuple[Any, ...]:
    payload, delivery = message.candidate.payload, message.candidate.first
    mended = message.candidate.mending
    said = (payload.metadata or {}) | ({} if mended is None else {"mended": mended})
    return (
        message.id,
        message.address.mapping_id,
        payload.wa_id,
        payload.genesys_message_id,
        payload.client_message_id,
        message_type(payload),
        payload.media_url,
        message.candidate.lane,
        payload.campaign_id,
        message.candidate.content_hash,
        message.replay_of,
        json.dumps(said) if said or payload.metadata is not None else None,
        delivery.queue,
        delivery.origin_exchange,
        delivery.origin_routing_key,
        delivery.body,
        orjson.dumps(stored_headers(delivery), default=str).decode(),
        message.candidate.is_replay,
        UUID(trace_of(delivery).w3c_id),
    )
