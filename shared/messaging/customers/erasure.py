"""Erasing a person: what is found, their messages, their conversations, what came meanwhile, then the cache.

Owns the order in which it goes; what counts as theirs, `search` tells.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.people import read_known
from shared.messaging.customers.search import TIMEOUT_S, FoundRows, Person, PersonSearch
from shared.messaging.customers.suppressions import Suppressions
from shared.postgres.audit import record_audit
from shared.postgres.database import Database, touched
from shared.postgres.queries import Queries
from shared.upkeep import Table

_QUERIES: Final = Queries("shared.messaging.customers", "erasure.sql")
#: Messages that go in one transaction: who needs one of them waits no longer than that.
_PART: Final = 200


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
            eraser = _Eraser(connection)
            await eraser.be_unhurried()
            yield eraser
            if undone:
                raise _RolledBack


class _Eraser(PersonSearch):
    """A step of an erasure, in the caller's transaction. What is locked goes by its key, without a search."""

    async def remove_found(self, person: Person, found: FoundRows) -> Erasure:
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
        recipients = await self.find_recipients(person)
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
                await self.connection.execute(table.theirs.erase, person.addresses, timeout=TIMEOUT_S)
            )
            for table in tables
            if table.theirs is not None and table.theirs.erase is not None
        }

    async def sweep(self, person: Person) -> Erasure:
        """Dead letters and statuses of the erased messages that came while these were searched for.

        Nothing else: what the person writes from now on is new.
        """
        letters = await self.find_dead_letters(person)
        unmatched = await self.find_unmatched(person)
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

    async def _shorten(self, person: Person, letters: Mapping[UUID, bool]) -> tuple[list[UUID], list[UUID]]:
        """Launches that lost one recipient, and the letters that are to go."""
        shared = [letter for letter, has_recipients in letters.items() if has_recipients]
        shortened = await self._column("shorten_launches", shared, person.variables)
        return shortened, [letter for letter in letters if letter not in shortened]

    async def _run(self, name: str, *arguments: Any) -> int:
        return touched(await self.connection.execute(_QUERIES[name], *arguments, timeout=TIMEOUT_S))
