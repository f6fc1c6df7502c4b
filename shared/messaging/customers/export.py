"""All that is stored of a person, to be handed to them: each table's rows, whole.

Owns which statement reads which table. Rows are found as an erasure finds them. Where others stand beside the
person, in the launch of a campaign, only the person's own part is given.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.messaging.customers.people import read_known
from shared.messaging.customers.search import TIMEOUT_S, FoundRows, Person, PersonSearch
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries
from shared.upkeep import Table

_QUERIES: Final = Queries("shared.messaging.customers", "export.sql")


@dataclass(frozen=True, slots=True)
class PersonExport:
    """Rows by table, each a mapping by column. Bytes are text where they are UTF-8, else `{"base64": …}`.

    `launches`: dead letters that launch a campaign, with the person's own part of it.
    """

    customer: str
    addresses: Sequence[str]
    exported_at: datetime
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    launches: Sequence[Mapping[str, Any]]

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is stored."""
        return not self.launches and not any(self.rows.values())


async def export_person(database: Database, address: str, tables: Sequence[Table]) -> PersonExport:
    """Everything of the person with this address, a past one too, from each of `tables` that is a person's.

    Held in memory whole; tables without an index by person are scanned. Raises StoreError.
    """
    async with database.transaction() as connection:
        search = PersonSearch(connection)
        await search.be_unhurried()
        known = await read_known(connection, address)
        person = await search.read_person(known.names)
        found = await search.search(person)
        told = _arguments(known.customer, person, found)
        rows = {
            table.name: await _read(connection, table, person, told.get(table.name, ()))
            for table in tables
            if table.theirs is not None
        }
        shared = [letter for letter, is_shared in found.letters.items() if is_shared]
        launches = await connection.fetch(_QUERIES["launches"], shared, person.variables, timeout=TIMEOUT_S)
        at = await connection.fetchval("select now()")
    return PersonExport(known.customer, known.names, at, rows, [_readable(row) for row in launches])


async def _read(
    connection: Connection, table: Table, person: Person, arguments: Sequence[Any]
) -> list[dict[str, Any]]:
    assert table.theirs is not None
    if table.theirs.export is not None:
        rows = await connection.fetch(table.theirs.export, person.addresses, timeout=TIMEOUT_S)
    else:
        rows = await connection.fetch(_QUERIES[table.name], *arguments, timeout=TIMEOUT_S)
    return [_readable(row) for row in rows]


def _arguments(customer: str, person: Person, found: FoundRows) -> dict[str, tuple[Any, ...]]:
    """Of the statements here, by table."""
    alone = [letter for letter, is_shared in found.letters.items() if not is_shared]
    return {
        "customer_profiles": (person.addresses,),
        "customer_addresses": (customer,),
        "consent_events": (person.addresses,),
        "conversation_mappings": (person.mapping_ids,),
        "conversation_aliases": (person.mapping_ids,),
        "message_tracking": (person.message_ids,),
        "outbound_bodies": (person.message_ids,),
        "send_attempts": (person.message_ids,),
        "status_events": (person.message_ids, found.unmatched),
        "broadcast_recipients": (found.recipients,),
        "deferred_messages": (found.deferred,),
        "dead_letter_queue": (alone,),
        "outbox_events": (found.events,),
    }


def _readable(row: Any) -> dict[str, Any]:
    return {name: _as_text(value) if isinstance(value, bytes) else value for name, value in row.items()}


def _as_text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}
