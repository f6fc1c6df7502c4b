"""What somebody tells about two addresses, weighed: are they one person's?

Owns the decision, which is pure, and its being carried out: one transaction each, the addresses of both
persons locked in key order. The same evidence in any order, twice or on two replicas, ends in the same
customers. In doubt persons stay apart, the address says why, and it is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from shared.durable.outbox import Outbox
from shared.errors import StoreConflict
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.joining import Joined, adopt, join, who_stays
from shared.messaging.customers.notation import is_phone, kind_of, notations, platform_notation
from shared.observability.metrics import Metrics
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "addresses.sql")
#: Ids at one phone: beyond that it is a device that many share.
MOST_IDS: Final = 20

Source: TypeAlias = Literal["inbound", "answer", "status", "system", "operator"]


class AddressDoubt(StrEnum):
    """Why evidence was not followed."""

    TWO_PHONES = "two_phones"
    SHARED_DEVICE = "shared_device"
    OWN_NUMBER = "own_number"
    NO_NEW_ADDRESS = "no_new_address"
    STALE = "stale"
    #: An operator said that it is another person's: only an operator joins it again.
    UNLINKED = "unlinked"


@dataclass(frozen=True, slots=True)
class AddressEvidence:
    """Two addresses of one person, in any notation, told at a time by the platform's clock.

    `is_change`: `address` was given up for `other`, which is None where nobody says which. `own_number`: the
    business's, as its customers dial it.
    """

    address: str
    other: str | None
    source: Source
    at: datetime
    trace_id: str
    is_change: bool = False
    own_number: str | None = None


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address as it stands: whose it is, since when, until when if it was given up.

    `since` None: by rule alone, nobody has told of it.
    """

    address: str
    phone: str
    since: datetime | None
    released_at: datetime | None
    doubt: str | None = None

    def owner_at(self, at: datetime) -> str | None:
        """Whose it was at a time; None: it had been given up by then."""
        return self.phone if self.released_at is None or at <= self.released_at else None


@dataclass(frozen=True, slots=True)
class AddressVerdict:
    """What becomes of it. `taken`: an address that becomes `stays`'s by itself; `gone` joins `stays`;

    `released`: an address that is given up.
    """

    outcome: Literal["known", "joined", "doubted"]
    stays: str
    gone: str | None = None
    taken: str | None = None
    released: str | None = None
    doubt: AddressDoubt | None = None
    doubted: str | None = None


def weigh(
    evidence: AddressEvidence, one: HeldAddress, other: HeldAddress, ids: int, *, has_moved: bool
) -> AddressVerdict:
    """Whether two addresses are one person's. Pure.

    `ids`: how many ids both persons hold together. `has_moved`: one of them gave an address up; a status of a
    message that was dialled there may name whoever has it now.
    """
    if evidence.is_change:
        return _weigh_change(evidence, one, other)
    first, second = one.owner_at(evidence.at), other.owner_at(evidence.at)
    if first is None or second is None:
        return _take_over(evidence, one, other)
    if first == second:
        return AddressVerdict("known", first)
    if evidence.source != "operator" and (parted := _parted(one, other)) is not None:
        return AddressVerdict("doubted", first, doubt=AddressDoubt.UNLINKED, doubted=parted)
    if evidence.source == "status" and has_moved:
        return AddressVerdict("doubted", first, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
    if is_phone(first) and is_phone(second):
        if not (is_phone(one.address) and is_phone(other.address)):
            return _contest(evidence, one, other)
        if evidence.source == "status":
            return AddressVerdict("doubted", first, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
        return AddressVerdict("joined", second, gone=first)
    stays = who_stays(first, second)
    if ids > MOST_IDS:
        named = other.address if is_phone(one.address) else one.address
        return AddressVerdict("doubted", stays, doubt=AddressDoubt.SHARED_DEVICE, doubted=named)
    return AddressVerdict("joined", stays, gone=first if stays == second else second)


def _parted(one: HeldAddress, other: HeldAddress) -> str | None:
    """The address of which an operator said that it is another person's."""
    return next((held.address for held in (one, other) if held.doubt == AddressDoubt.UNLINKED), None)


def _take_over(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    """Somebody new writes from what another gave up: it is theirs, and what they are known by beside it."""
    free, known = (one, other) if one.owner_at(evidence.at) is None else (other, one)
    beside = known.owner_at(evidence.at)
    if beside is None or (is_phone(beside) and is_phone(free.address)):
        return AddressVerdict(
            "doubted", free.address, taken=free.address, doubt=AddressDoubt.TWO_PHONES, doubted=known.address
        )
    stays = who_stays(free.address, beside)
    return AddressVerdict("joined", stays, gone=None if stays == beside else beside, taken=free.address)


def _contest(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    """An id named with two phones, and no change told: it is whose it was first, by the platform's clock."""
    phone, named = (one, other) if is_phone(one.address) else (other, one)
    if named.since is not None and evidence.at >= named.since:
        return AddressVerdict("doubted", named.phone, doubt=AddressDoubt.TWO_PHONES, doubted=named.address)
    return AddressVerdict(
        "doubted", phone.phone, taken=named.address, doubt=AddressDoubt.TWO_PHONES, doubted=named.address
    )


def _weigh_change(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    at = evidence.at
    if (one.since is not None and one.since > at) or (one.released_at is not None and one.released_at > at):
        return AddressVerdict("doubted", one.phone, doubt=AddressDoubt.STALE, doubted=one.address)
    if one.released_at == at and one.phone == other.phone:
        return AddressVerdict("known", one.phone)
    leaving, arriving = one.phone, other.owner_at(at)
    taken = other.address if arriving is None else None
    arriving = arriving or other.address
    if leaving == arriving:
        return AddressVerdict("joined", leaving, taken=taken, released=one.address)
    if other.doubt == AddressDoubt.UNLINKED:
        return AddressVerdict("doubted", leaving, doubt=AddressDoubt.UNLINKED, doubted=other.address)
    if leaving == one.address or is_phone(one.address):
        return AddressVerdict("joined", arriving, gone=leaving, taken=taken, released=one.address)
    if is_phone(leaving) and is_phone(arriving):
        return AddressVerdict("doubted", leaving, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
    stays = who_stays(leaving, arriving)
    gone = leaving if stays == arriving else arriving
    return AddressVerdict("joined", stays, gone=gone, taken=taken, released=one.address)


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
    keys = [platform_notation(evidence.address), platform_notation(other)]
    rows = await _lock(connection, evidence, keys)
    held = {row["address"]: _held(row) for row in rows}
    owners = {held[key].phone for key in keys}
    theirs = [row for row in rows if row["phone"] in owners]
    ids = sum(row["kind"] != "phone" and not row["released_at"] for row in theirs)
    has_moved = any(row["released_at"] for row in theirs)
    verdict = weigh(evidence, held[keys[0]], held[keys[1]], ids, has_moved=has_moved)
    return verdict, await _carry_out(connection, evidence, other, verdict)


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
    connection: Connection, evidence: AddressEvidence, other: str, verdict: AddressVerdict
) -> Joined:
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
    if verdict.outcome != "doubted":
        seen = [other] if evidence.is_change else [evidence.address, other]
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
    since = None if row["source"] == "rule" else row["first_seen_at"]
    return HeldAddress(row["address"], row["phone"], since, row["released_at"], row["doubt"])
