"""Erasing a person: all that is stored of them in one transaction, then what came meanwhile, then the cache.

Owns what counts as theirs. Not reached: messages on their way in RabbitMQ, and what other customers wrote
about them in messages of their own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from shared.coordination.cache import conversation_key, customer_key
from shared.coordination.client import RedisClient
from shared.coordination.rate_shared import pair_key
from shared.postgres.database import Connection, Database, touched
from shared.postgres.queries import Queries
from workers.cli.customer import audit_subject
from workers.cli.operation import record_audit

_QUERIES: Final = Queries("workers.cli", "erasure.sql")
#: Tables without an index by person are scanned, however long that takes.
_TIMEOUT_S: Final = 4 * 3600.0
_UNHURRIED: Final = "set local statement_timeout = 0; set local enable_seqscan = on"
#: Shorter numbers stand in too many texts by chance.
_TELLING_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class Person:
    """All by which rows are known to be theirs. `other_ids`: conversations', platforms', applications'."""

    addresses: Sequence[str]
    numbers: Sequence[str]
    mapping_ids: Sequence[UUID]
    message_ids: Sequence[UUID]
    wamids: Sequence[str]
    conversation_ids: Sequence[str]
    other_ids: Sequence[str]

    @property
    def variables(self) -> dict[str, Any]:
        """The addresses as jsonpath compares them: as text, with a plus, as a number."""
        digits = [address for address in self.addresses if address.isdigit()]
        spelled = [*self.addresses, *(f"+{number}" for number in digits), *map(int, digits)]
        return {"addresses": spelled}

    @property
    def mention(self) -> str:
        """A pattern for the addresses in any text, escaped bytes included; never inside of a longer id."""
        telling = [item for item in self.addresses if not item.isdigit() or len(item) >= _TELLING_DIGITS]
        if not telling:
            return "(?!x)x"
        return rf"(^|[^0-9A-Z]|\\[0-7]{{3}})({'|'.join(map(re.escape, telling))})([^0-9A-Za-z]|$)"

    @property
    def quoted(self) -> str:
        """A pattern for the addresses as whole values in a JSON text."""
        return rf'"\+?({"|".join(map(re.escape, self.addresses))})"'

    def keys(self, numbers: Sequence[str]) -> list[str]:
        """Keys in Redis, at their own business numbers and at these."""
        at = sorted({*self.numbers, *numbers})
        customer = [key(n, a) for n in at for a in self.addresses for key in (customer_key, pair_key)]
        return customer + [conversation_key(item) for item in self.conversation_ids]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was removed, by table; `shortened`: launches of campaigns that lost one recipient of several."""

    person: Person
    rows: Mapping[str, int] = field(default_factory=dict)
    shortened: int = 0

    def __add__(self, other: "Erasure") -> "Erasure":
        rows = {table: count + other.rows.get(table, 0) for table, count in self.rows.items()}
        return Erasure(self.person, rows, self.shortened + other.shortened)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was stored."""
        return not self.shortened and not any(self.rows.values())


class _Rehearsed(Exception):  # noqa: N818 - it rolls back, and is no error
    """Ends the transaction of a dry run."""


async def erase(database: Database, phone: str, *, by: str, dry_run: bool) -> Erasure:
    """Remove everything of the person with this address; a dry run does the same and rolls back.

    The audit log keeps that it was done, with counts and a slow hash of `phone`. Raises StoreError.
    """
    erasure: Erasure | None = None
    try:
        async with database.transaction() as connection:
            await connection.execute(_UNHURRIED)
            erasure = await _Eraser(connection).erase(phone)
            if dry_run:
                raise _Rehearsed
            details = {"rows": erasure.rows, "shortened": erasure.shortened}
            subject = audit_subject(phone)
            await record_audit(connection, actor=by, action="profile.erase", subject=subject, details=details)
    except _Rehearsed:
        pass
    assert erasure is not None
    return erasure if dry_run else erasure + await _sweep(database, erasure.person)


async def _sweep(database: Database, person: Person) -> Erasure:
    """A dead letter, say, that was stored after the search and before the commit."""
    async with database.transaction() as connection:
        await connection.execute(_UNHURRIED)
        return await _Eraser(connection).sweep(person)


async def count_keys(redis: RedisClient, keys: Sequence[str]) -> int:
    """How many of these keys Redis holds. Raises RedisUnavailable."""
    return int(await redis.command("EXISTS", *keys))


async def remove_keys(redis: RedisClient, keys: Sequence[str]) -> int:
    """Remove these keys; returns how many there were. Raises RedisUnavailable."""
    return int(await redis.command("UNLINK", *keys))


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows that must be searched for, whatever that takes. `letters`: whether each has several recipients."""

    letters: Mapping[UUID, bool]
    events: Sequence[UUID]
    deferred: Sequence[UUID]
    unmatched: Sequence[int]
    recipients: Sequence[int]


class _Eraser:
    """One erasure, in the caller's transaction: first what must be searched for, then locks, then deletes.

    What is locked is deleted by keys, without another search: the person's next message waits that long only.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def erase(self, phone: str) -> Erasure:
        addresses = await self._column("addresses", phone)
        found = await self._search(await self._read_person(addresses))
        await self._column("lock_mappings", addresses)
        person = await self._read_person(addresses)
        await self._column("lock_messages", person.mapping_ids)
        return await self._delete(person, found)

    async def sweep(self, person: Person) -> Erasure:
        """Dead letters and statuses of the erased messages that came while these were searched for.

        Nothing else: what the person writes from now on is new.
        """
        letters = await self._find_dead_letters(person)
        unmatched = await self._find_unmatched(person)
        shortened, alone = await self._shorten(person, letters)
        rows = {
            "status_events": await self._run("delete_unmatched_events", unmatched),
            "dead_letter_queue": await self._run("delete_dead_letters", alone),
            "outbox_events": await self._run("delete_events_of", [str(letter) for letter in alone]),
        }
        return Erasure(person, rows, len(shortened))

    async def _find_unmatched(self, person: Person) -> list[int]:
        return await self._column(
            "find_unmatched_events", person.variables, person.message_ids, person.wamids, person.other_ids
        )

    async def _shorten(self, person: Person, letters: Mapping[UUID, bool]) -> tuple[list[UUID], list[UUID]]:
        """Launches that lost one recipient, and the letters that are to go."""
        shared = [letter for letter, has_recipients in letters.items() if has_recipients]
        shortened = await self._column("shorten_launches", shared, person.variables)
        return shortened, [letter for letter in letters if letter not in shortened]

    async def _search(self, person: Person) -> _Found:
        letters = await self._find_dead_letters(person)
        events = await self._column(
            "find_events",
            person.addresses,
            person.variables,
            [str(item) for item in (*person.message_ids, *person.mapping_ids, *letters)],
            person.wamids,
        )
        return _Found(
            letters=letters,
            events=events,
            deferred=await self._column("find_deferred", person.addresses, person.message_ids, person.quoted),
            unmatched=await self._find_unmatched(person),
            recipients=await self._column("find_recipients", person.addresses),
        )

    async def _read_person(self, addresses: Sequence[str]) -> Person:
        mappings = await self._fetch("mappings", addresses)
        mapping_ids = [row["id"] for row in mappings]
        messages = await self._fetch("messages", mapping_ids)
        message_ids = [row["id"] for row in messages]
        wamids = {row["wamid"] for row in messages} | set(
            await self._column("wamids_of_attempts", message_ids)
        )
        conversations = {row["conversation_id"] for row in mappings} | set(
            await self._column("conversation_ids", mapping_ids)
        )
        given = {row[name] for row in messages for name in ("genesys_message_id", "client_message_id")}
        numbers = {row["phone_number_id"] for row in mappings} | set(await self._column("numbers", addresses))
        return Person(
            addresses=addresses,
            numbers=sorted(numbers),
            mapping_ids=mapping_ids,
            message_ids=message_ids,
            wamids=sorted(wamids - {None}),
            conversation_ids=sorted(conversations - {None}),
            other_ids=sorted((conversations | given) - {None}),
        )

    async def _find_dead_letters(self, person: Person) -> dict[UUID, bool]:
        """Ids, and whether each names several recipients."""
        rows = await self._fetch(
            "find_dead_letters",
            person.variables,
            person.message_ids,
            person.wamids,
            person.other_ids,
            person.mention,
        )
        return {row["id"]: bool(row["shared"]) for row in rows}

    async def _delete(self, person: Person, found: _Found) -> Erasure:
        shortened, letters = await self._shorten(person, found.letters)
        messages, mappings = person.message_ids, person.mapping_ids
        rows = {
            "send_attempts": await self._run("delete_attempts", messages),
            "outbound_bodies": await self._run("delete_bodies", messages),
            "deferred_messages": await self._run("delete_deferred", found.deferred),
            "status_events": await self._run("delete_status_events", messages)
            + await self._run("delete_unmatched_events", found.unmatched),
            "broadcast_recipients": await self._run("delete_recipients", found.recipients, messages),
            "dead_letter_queue": await self._run("delete_dead_letters", letters),
            "outbox_events": await self._run("delete_events", found.events),
            "message_tracking": await self._run("delete_messages", messages),
            "conversation_aliases": await self._run("delete_aliases", mappings),
            "conversation_mappings": await self._run("delete_mappings", mappings),
            "customer_profiles": await self._run("delete_profiles", person.addresses),
        }
        return Erasure(person, rows, len(shortened))

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self._connection.fetch(_QUERIES[name], *arguments, timeout=_TIMEOUT_S)

    async def _column(self, name: str, *arguments: Any) -> list[Any]:
        return [row[0] for row in await self._fetch(name, *arguments)]

    async def _run(self, name: str, *arguments: Any) -> int:
        return touched(await self._connection.execute(_QUERIES[name], *arguments, timeout=_TIMEOUT_S))
