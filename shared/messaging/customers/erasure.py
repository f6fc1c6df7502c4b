"""Erasing a person: what is found, their messages, their conversations, what came meanwhile, then the cache.

Owns what counts as theirs. Not reached: messages on their way in RabbitMQ, and what other customers wrote
about them in messages of their own.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final
from uuid import UUID

from shared.coordination.keys import conversation_key, customer_key
from shared.coordination.rate_shared import pair_key
from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.people import read_known
from shared.messaging.customers.suppressions import Suppressions
from shared.postgres.audit import record_audit
from shared.postgres.database import Connection, Database, touched
from shared.postgres.queries import Queries
from shared.upkeep import Table

_QUERIES: Final = Queries("shared.messaging.customers", "erasure.sql")
#: Tables without an index by person are scanned, however long that takes.
_TIMEOUT_S: Final = 4 * 3600.0
_UNHURRIED: Final = "set local statement_timeout = 0; set local enable_seqscan = on"
#: Shorter numbers stand in too many texts by chance.
_TELLING_DIGITS: Final = 7
#: Messages that go in one transaction: who needs one of them waits no longer than that.
_PART: Final = 200


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

    def __or__(self, other: "Person") -> "Person":
        """By whatever either is known."""
        names = [one.name for one in fields(self)]
        return Person(*(list(dict.fromkeys([*getattr(self, n), *getattr(other, n)])) for n in names))

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
        tables = dict.fromkeys((*self.rows, *other.rows))
        rows = {table: self.rows.get(table, 0) + other.rows.get(table, 0) for table in tables}
        return Erasure(self.person | other.person, rows, self.shortened + other.shortened)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was stored."""
        return not self.shortened and not any(self.rows.values())


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows that must be searched for, whatever that takes. `letters`: whether each has several recipients."""

    letters: Mapping[UUID, bool]
    events: Sequence[UUID]
    deferred: Sequence[UUID]
    unmatched: Sequence[int]
    recipients: Sequence[int]


class _RolledBack(Exception):  # noqa: N818 - it rolls back, and is no error
    """Ends a step of a dry run."""


async def erase(
    database: Database,
    phone: str,
    tables: Sequence[Table],
    *,
    by: str,
    dry_run: bool,
    suppressions: Suppressions | None = None,
) -> Erasure:
    """Remove everything of the person with this address, under all of theirs; a dry run counts it.

    `tables`: all that may have rows of theirs. Where one brings a statement for it, that is run beside ours.
    What they refuse stays in `suppressions` alone.

    Searched first, without a lock; then what is found goes, and their messages, so many at a time; at last,
    in one short transaction, their conversations and what came meanwhile. Ended half way, it is to be done
    again: addresses and conversations, by which a person is known, go last. The audit log keeps that it was
    done, with counts and a slow hash of the customer. Raises StoreError.
    """
    theirs = [table for table in tables if table.theirs is not None]
    async with _step(database) as eraser:
        known = await read_known(eraser.connection, phone)
        person = await eraser.read_person(known.names)
        found = await eraser.search(person)
    erasure = Erasure(person, dict.fromkeys((table.name for table in theirs), 0))
    async with _step(database, undone=dry_run) as eraser:
        erasure += await eraser.remove_found(person, found)
    for start in range(0, len(person.message_ids), _PART):
        async with _step(database, undone=dry_run) as eraser:
            erasure += await eraser.remove_messages(person, person.message_ids[start : start + _PART])
    if dry_run:
        async with _step(database, undone=True) as eraser:
            return erasure + await eraser.count_rest(known.customer, person, theirs)
    async with _step(database) as eraser:
        erasure += await eraser.remove_rest(known.customer, theirs, suppressions or Suppressions())
        details = {"rows": erasure.rows, "shortened": erasure.shortened}
        await record_audit(
            eraser.connection,
            actor=by,
            action="profile.erase",
            subject=audit_subject(known.customer),
            details=details,
        )
    async with _step(database) as eraser:
        return erasure + await eraser.sweep(erasure.person)


@asynccontextmanager
async def _step(database: Database, *, undone: bool = False) -> AsyncIterator["_Eraser"]:
    with suppress(_RolledBack):
        async with database.transaction() as connection:
            await connection.execute(_UNHURRIED)
            yield _Eraser(connection)
            if undone:
                raise _RolledBack


class _Eraser:
    """A step of an erasure, in the caller's transaction. What is locked goes by its key, without a search."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def remove_found(self, person: Person, found: _Found) -> Erasure:
        """What hangs on no message of theirs, and locks nobody out."""
        shortened, letters = await self._shorten(person, found.letters)
        rows = {
            "deferred_messages": await self._run("delete_deferred", found.deferred),
            "status_events": await self._run("delete_unmatched_events", found.unmatched),
            "broadcast_recipients": await self._remove_recipients(found.recipients),
            "dead_letter_queue": await self._run("delete_dead_letters", letters),
            "outbox_events": await self._run("delete_events", found.events),
        }
        return Erasure(person, rows, len(shortened))

    async def remove_messages(self, person: Person, messages: Sequence[UUID]) -> Erasure:
        """Some of their messages, and what hangs on them: only these are locked, and not for long."""
        await self._column("lock_messages", messages)
        rows = {
            "send_attempts": await self._run("delete_attempts", messages),
            "outbound_bodies": await self._run("delete_bodies", messages),
            "status_events": await self._run("delete_status_events", messages),
            "message_tracking": await self._run("delete_messages", messages),
        }
        return Erasure(person, rows)

    async def remove_rest(
        self, customer: str, tables: Sequence[Table], suppressions: Suppressions
    ) -> Erasure:
        """Their addresses and conversations, locked until the commit, and what came since the search.

        The person is read once more: who was joined to them, or they to somebody, is erased with them.
        """
        await self._column("lock_addresses", customer)
        known = await read_known(self.connection, customer)
        await self._column("lock_mappings", known.names)
        person = await self.read_person(known.names)
        recipients = await self._find_recipients(person)
        erasure = await self.remove_messages(person, person.message_ids)
        await suppressions.keep(self.connection, person.addresses)
        rows = {
            "broadcast_recipients": await self._remove_recipients(recipients),
            "conversation_aliases": await self._run("delete_aliases", person.mapping_ids),
            "conversation_mappings": await self._run("delete_mappings", person.mapping_ids),
            **await self._remove_others(person, tables),
            **await self._remove_customer(known.customer, person),
        }
        return erasure + Erasure(person, rows)

    async def count_rest(self, customer: str, person: Person, tables: Sequence[Table]) -> Erasure:
        """As `remove_rest`, to be undone: no conversation is locked, for its messages would go with it."""
        rows = {
            "conversation_aliases": await self._run("delete_aliases", person.mapping_ids),
            "conversation_mappings": len(person.mapping_ids),
            **await self._remove_others(person, tables),
            **await self._remove_customer(customer, person),
        }
        return Erasure(person, rows)

    async def _remove_customer(self, customer: str, person: Person) -> dict[str, int]:
        return {
            "customer_addresses": await self._run("delete_addresses", customer),
            "customer_profiles": await self._run("delete_profiles", person.addresses),
            # Behind the profiles: whoever held one of them has committed its events.
            "consent_events": await self._run("delete_consents", person.addresses),
        }

    async def _remove_others(self, person: Person, tables: Sequence[Table]) -> dict[str, int]:
        """Rows that others keep of the customer."""
        return {
            table.name: touched(
                await self.connection.execute(table.theirs.erase, person.addresses, timeout=_TIMEOUT_S)
            )
            for table in tables
            if table.theirs is not None and table.theirs.erase is not None
        }

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

    async def _remove_recipients(self, recipients: Sequence[int]) -> int:
        """And the raw bodies of the launches that named them."""
        await self._run("forget_launches", recipients)
        return await self._run("delete_recipients", recipients)

    async def _find_recipients(self, person: Person) -> list[int]:
        return await self._column("find_recipients", person.addresses, person.message_ids)

    async def _find_unmatched(self, person: Person) -> list[int]:
        return await self._column(
            "find_unmatched_events",
            person.variables,
            person.message_ids,
            person.wamids,
            person.other_ids,
            person.mention,
        )

    async def _shorten(self, person: Person, letters: Mapping[UUID, bool]) -> tuple[list[UUID], list[UUID]]:
        """Launches that lost one recipient, and the letters that are to go."""
        shared = [letter for letter, has_recipients in letters.items() if has_recipients]
        shortened = await self._column("shorten_launches", shared, person.variables)
        return shortened, [letter for letter in letters if letter not in shortened]

    async def search(self, person: Person) -> _Found:
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
            recipients=await self._find_recipients(person),
        )

    async def read_person(self, addresses: Sequence[str]) -> Person:
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

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self.connection.fetch(_QUERIES[name], *arguments, timeout=_TIMEOUT_S)

    async def _column(self, name: str, *arguments: Any) -> list[Any]:
        return [row[0] for row in await self._fetch(name, *arguments)]

    async def _run(self, name: str, *arguments: Any) -> int:
        return touched(await self.connection.execute(_QUERIES[name], *arguments, timeout=_TIMEOUT_S))
