"""Which rows are a person's: by their ids, and where nothing but a search tells it.

Owns what counts as theirs, for an erasure and for an export. Not reached: messages on their way in RabbitMQ,
and what other customers wrote about them in messages of their own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from shared.coordination.keys import conversation_key, customer_key
from shared.coordination.rate_shared import pair_key
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "erasure.sql")
#: Tables without an index by person are scanned, however long that takes.
TIMEOUT_S: Final = 4 * 3600.0
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
class FoundRows:
    """Rows that must be searched for, whatever that takes. `letters`: whether each has several recipients."""

    letters: Mapping[UUID, bool]
    events: Sequence[UUID]
    deferred: Sequence[UUID]
    unmatched: Sequence[int]
    recipients: Sequence[int]


class PersonSearch:
    """Finds a person's rows, in the caller's transaction; locks none."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def be_unhurried(self) -> None:
        """No limit of time for this transaction's statements, and scans where there is no index."""
        await self.connection.execute(_UNHURRIED)

    async def read_person(self, addresses: Sequence[str]) -> Person:
        """By what rows of the person with these addresses are known."""
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

    async def search(self, person: Person) -> FoundRows:
        """Rows that hang on none of their messages or conversations."""
        letters = await self.find_dead_letters(person)
        events = await self._column(
            "find_events",
            person.addresses,
            person.variables,
            [str(item) for item in (*person.message_ids, *person.mapping_ids, *letters)],
            person.wamids,
        )
        return FoundRows(
            letters=letters,
            events=events,
            deferred=await self._column("find_deferred", person.addresses, person.message_ids, person.quoted),
            unmatched=await self.find_unmatched(person),
            recipients=await self.find_recipients(person),
        )

    async def find_dead_letters(self, person: Person) -> dict[UUID, bool]:
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

    async def find_recipients(self, person: Person) -> list[int]:
        """Their places in campaigns."""
        return await self._column("find_recipients", person.addresses, person.message_ids)

    async def find_unmatched(self, person: Person) -> list[int]:
        """Status events of theirs that have found no message."""
        return await self._column(
            "find_unmatched_events",
            person.variables,
            person.message_ids,
            person.wamids,
            person.other_ids,
            person.mention,
        )

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self.connection.fetch(_QUERIES[name], *arguments, timeout=TIMEOUT_S)

    async def _column(self, name: str, *arguments: Any) -> list[Any]:
        return [row[0] for row in await self._fetch(name, *arguments)]
