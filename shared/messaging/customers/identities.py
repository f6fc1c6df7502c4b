"""Learning who is who from evidence: each weighed and carried out in one transaction.

Owns the order of it: the addresses of both persons are locked in key order. The same evidence in any order,
twice or on two replicas, ends in the same customers: what is told late is of whoever had the address then.
What is doubted is counted. One case is not told apart: somebody known by an id alone who writes from a reused
number before we hear that its owner left it goes along with that owner; an operator parts them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shared.durable.outbox import Outbox
from shared.errors import StoreConflict
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.evidence import (
    MOST_IDS,
    AddressDoubt,
    AddressEvidence,
    AddressVerdict,
    HeldAddress,
    weigh,
)
from shared.messaging.customers.joining import Joined, adopt, join
from shared.messaging.customers.notation import is_phone, kind_of, notations, platform_notation
from shared.observability.metrics import Metrics
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "addresses.sql")


class Identities:
    """Learns from evidence who is who, and tells of it."""

    def __init__(self, database: Database, outbox: Outbox, cache: MappingCache, metrics: Metrics) -> None:
        self._database = database
        self._outbox = outbox
        self._cache = cache
        self._metrics = metrics

    async def learn(self, evidences: Sequence[AddressEvidence]) -> None:
        """Follow each, or doubt it. What is new about known customers is one statement. Raises StoreError."""
        left = await self._meet([item for item in evidences if _is_plain(item)])
        for evidence in (*left, *(item for item in evidences if not _is_plain(item))):
            await self._learn(evidence)

    async def _meet(self, evidences: Sequence[AddressEvidence]) -> list[AddressEvidence]:
        """Ids of which nobody knew anything, beside a phone that is known; gives all others."""
        if not evidences:
            return []
        left: list[AddressEvidence] = []
        for source in dict.fromkeys(item.source for item in evidences):
            told = {item.other or "": item for item in evidences if item.source == source}
            rows = await self._database.fetch(
                _QUERIES["meet_addresses"],
                [platform_notation(item.address) for item in told.values()],
                list(told),
                [kind_of(other) for other in told],
                source,
                [item.at for item in told.values()],
                MOST_IDS,
            )
            met = {row["address"] for row in rows}
            self._count(source, "new", len(met))
            left += [item for item in evidences if item.source == source and item.other not in met]
        return left

    async def _learn(self, evidence: AddressEvidence) -> None:
        if evidence.other is None or _names_the_business(evidence):
            doubt = AddressDoubt.NO_NEW_ADDRESS if evidence.other is None else AddressDoubt.OWN_NUMBER
            await self._database.fetch(_QUERIES["doubt_address"], platform_notation(evidence.address), doubt)
            self._count(evidence.source, doubt, 1)
            return
        async with self._database.transaction() as connection:
            verdict, joined = await follow(connection, evidence, evidence.other)
            await self._outbox.record(connection, joined.events)
        self._count(evidence.source, verdict.doubt or verdict.outcome, 1)
        await self._cache.remove_many(joined.stale_keys)
        await self._outbox.publish(joined.events)

    async def adopt(self, holders: Sequence[tuple[str, str]], trace_id: str) -> None:
        """Conversations of (number, address) under another name than their customer's go on as theirs.

        Rows of before have the name that the address was written in; one that a person gave up is closed.
        """
        for number, address in holders:
            async with self._database.transaction() as connection:
                joined = await adopt(connection, number, address, trace_id)
                await self._outbox.record(connection, joined.events)
            await self._cache.remove_many(joined.stale_keys)
            await self._outbox.publish(joined.events)

    def _count(self, source: str, outcome: str, count: int) -> None:
        if count:
            self._metrics.identity_evidence.labels(source, outcome).inc(count)


async def follow(
    connection: Connection, evidence: AddressEvidence, other: str
) -> tuple[AddressVerdict, Joined]:
    """Weigh one and carry it out, in the caller's transaction, which records what is told. Raises StoreError.

    StoreConflict: one of the two was joined with a third while we waited; the same again may well succeed.
    """
    told = (evidence.address, other)
    traced = address, other = await _trace_both(connection, evidence, told)
    evidence = replace(evidence, address=address, other=other)
    keys = [platform_notation(address), platform_notation(other)]
    rows = await _lock(connection, evidence, keys)
    if await _trace_both(connection, evidence, told) != traced:
        raise StoreConflict("an address was given up meanwhile")
    held = {row["address"]: _held(row) for row in rows}
    owners = {held[key].phone for key in keys}
    theirs = [row for row in rows if row["phone"] in owners]
    ids = sum(row["kind"] != "phone" and not row["released_at"] for row in theirs)
    has_moved = any(_had_moved(row, evidence.at) for row in theirs)
    verdict = weigh(evidence, held[keys[0]], held[keys[1]], ids, has_moved=has_moved)
    seen = [other] if evidence.is_change else [item for item in (address, other) if item in told]
    return verdict, await _carry_out(connection, evidence, other, verdict, seen)


def _had_moved(row: Any, at: datetime) -> bool:
    """Whether an address was given up, or come to, by a time."""
    return any(row[name] is not None and row[name] <= at for name in ("released_at", "left_at", "moved_at"))


async def _trace_both(
    connection: Connection, evidence: AddressEvidence, told: tuple[str, str]
) -> tuple[str, str]:
    """Where whoever had them at that time went, if somebody else has them since; a change names its own."""
    if evidence.is_change:
        return told
    one, other = told
    return await _trace(connection, evidence.at, one), await _trace(connection, evidence.at, other)


async def _trace(connection: Connection, at: datetime, address: str) -> str:
    passed = {address}
    while moved := await connection.fetchrow(_QUERIES["find_moved"], platform_notation(address), at):
        address = moved["left_for"]
        if address in passed:
            break
        passed.add(address)
    return address


async def _lock(connection: Connection, evidence: AddressEvidence, keys: Sequence[str]) -> Sequence[Any]:
    """The rows of both persons, in key order."""
    named = dict.fromkeys(keys, "rule") | {
        address: evidence.source for address in (evidence.address, evidence.other) if address is not None
    }
    await connection.execute(
        _QUERIES["claim_addresses"],
        list(named),
        [platform_notation(address) for address in named],
        [kind_of(address) for address in named],
        list(named.values()),
        evidence.at,
    )
    owners = {row["phone"] for row in await connection.fetch(_QUERIES["find_owners"], list(keys))}
    rows = await connection.fetch(_QUERIES["lock_addresses"], list(keys), sorted(owners))
    if {row["phone"] for row in rows if row["address"] in keys} - owners:
        raise StoreConflict("a customer was joined with another meanwhile")
    return rows


async def _carry_out(
    connection: Connection,
    evidence: AddressEvidence,
    other: str,
    verdict: AddressVerdict,
    seen: Sequence[str],
) -> Joined:
    """`seen`: addresses of which it says that they were the person's at that time."""
    joined = Joined()
    later = await _find_later(connection, evidence, verdict)
    if verdict.taken is not None:
        await _take(connection, verdict.taken, verdict.stays, evidence)
    if verdict.gone is not None:
        joined = await join(
            connection,
            gone=verdict.gone,
            stays=verdict.stays,
            evidence=evidence.source,
            trace_id=evidence.trace_id,
        )
    if verdict.outcome != "doubted" or verdict.taken is not None:
        keys = [platform_notation(address) for address in seen]
        await connection.execute(_QUERIES["confirm_addresses"], keys, evidence.source, evidence.at)
    if verdict.released is not None:
        given_up = list(notations(verdict.released))
        await connection.execute(_QUERIES["release_addresses"], given_up, verdict.stays, evidence.at)
        await connection.execute(_QUERIES["readdress"], verdict.stays, given_up, other)
    if later and verdict.released is not None:
        new_owner = replace(evidence, at=min(later.values()))
        await _take(connection, verdict.released, verdict.released, new_owner)
        await connection.execute(_QUERIES["keep_later"], list(later), verdict.released)
    if evidence.is_change and verdict.outcome != "doubted":
        left, reached = platform_notation(evidence.address), platform_notation(other)
        await connection.execute(_QUERIES["keep_change"], left, reached, evidence.at)
    if verdict.doubted is not None:
        await connection.execute(_QUERIES["doubt_address"], verdict.doubted, verdict.doubt)
    return joined


async def _take(connection: Connection, address: str, customer: str, evidence: AddressEvidence) -> None:
    taken = list(notations(address))
    await connection.execute(_QUERIES["take_addresses"], taken, customer, evidence.at, evidence.source)


async def _find_later(
    connection: Connection, evidence: AddressEvidence, verdict: AddressVerdict
) -> dict[str, datetime]:
    """What was told beside a phone after it was given up, before we heard of that, and since when.

    It is of whoever has the phone now.
    """
    if verdict.released is None or not is_phone(verdict.released) or verdict.gone is None:
        return {}
    given_up = list(notations(verdict.released))
    rows = await connection.fetch(_QUERIES["find_later"], verdict.gone, given_up, evidence.at)
    return {row["address"]: row["first_seen_at"] for row in rows}


def _is_plain(evidence: AddressEvidence) -> bool:
    """Beside a phone, an id."""
    return (
        not evidence.is_change
        and evidence.other is not None
        and not is_phone(evidence.other)
        and not _names_the_business(evidence)
    )


def _names_the_business(evidence: AddressEvidence) -> bool:
    if evidence.own_number is None:
        return False
    own = set(notations("".join(filter(str.isdigit, evidence.own_number))))
    return not own.isdisjoint({evidence.address, evidence.other})


def _held(row: Any) -> HeldAddress:
    return HeldAddress(
        row["address"],
        row["phone"],
        None if row["source"] == "rule" else row["first_seen_at"],
        row["released_at"],
        row["left_at"],
        row["moved_at"],
        row["doubt"],
    )
