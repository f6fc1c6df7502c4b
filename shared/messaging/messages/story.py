"""What the database knows of a message or a customer, gathered for one reference.

Owns the reading; never a body, a text or metadata.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from shared.ids import read_uuid
from shared.messaging.customers.addresses import read_address
from shared.messaging.customers.people import KnownCustomer, read_known
from shared.messaging.messages.steps import steps_of
from shared.observability.tracing import trace_key
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.messages", "story.sql")
#: Conversations of a customer that are shown.
_MAPPINGS: Final = 5

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """Mappings with their `messages`, each with `attempts`, `status_events`, `deferral`, `dead_letters` and
    `steps`.

    `found_by`: `message`, `conversation`, `customer`, `trace` or `reference`; the last two lists have no
    message here.
    A mapping's `message_count`, and `counts` of a customer, say how many there are: fewer may be here.
    `steps`: of all messages of a trace together, in the order of time.
    """

    found_by: str
    mappings: Sequence[Row]
    status_events: Sequence[Row]
    dead_letters: Sequence[Row]
    counts: Row = field(default_factory=dict)
    steps: Sequence[Row] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was found."""
        return not (self.mappings or self.status_events or self.dead_letters)


async def look_up(database: Database, reference: str, limit: int | None) -> Story:
    """Everything about a wamid, an id of ours or of others, a trace, or a customer: the last `limit`.

    `reference`: as it was typed. Raises StoreError.
    """
    reference = reference.strip().replace("\x00", "")
    async with database.connection() as connection, connection.transaction(readonly=True):
        named = read_uuid(reference), reference
        messages = _ids(await connection.fetch(_QUERIES["find_messages"], *named))
        if messages:
            return await _tell(connection, "message", messages, (), await _loose(connection, reference))
        mappings = _ids(await connection.fetch(_QUERIES["find_mappings"], *named))
        if mappings:
            return await _tell_mappings(connection, "conversation", mappings, limit, ([], []))
        address = read_address(reference)
        if address is not None:
            story = await _tell_customer(connection, await read_known(connection, address), limit)
            if not story.is_empty:
                return story
        return await _tell_trace(connection, reference, limit)


async def _tell_trace(connection: Connection, reference: str, limit: int | None) -> Story:
    """What has this trace; else what carries a wamid that no message has."""
    messages = _ids(await connection.fetch(_QUERIES["find_by_trace"], reference, limit, trace_key(reference)))
    letters = _rows(await connection.fetch(_QUERIES["dead_letters_of_trace"], reference, limit))
    if messages or letters:
        return await _tell(connection, "trace", messages, (), ([], letters))
    return await _tell(connection, "reference", (), (), await _loose(connection, reference))


async def _tell_customer(connection: Connection, known: KnownCustomer, limit: int | None) -> Story:
    most = None if limit is None else _MAPPINGS
    names = known.names
    mappings = _ids(await connection.fetch(_QUERIES["find_mappings_of_customer"], names, most))
    spellings = [spelling for name in names for spelling in (name, f"+{name}")]
    letters = _rows(await connection.fetch(_QUERIES["dead_letters_of_customer"], spellings, limit))
    story = await _tell_mappings(connection, "customer", mappings, limit, ([], letters))
    (counts,) = _rows(await connection.fetch(_QUERIES["count_of_customer"], names, spellings))
    counts["dead_letters"] -= len(letters) - len(story.dead_letters)  # those stand with their messages
    return replace(story, counts=counts)


async def _loose(connection: Connection, reference: str) -> tuple[list[Row], list[Row]]:
    """Status events and dead letters that carry a wamid, whether or not there is a message."""
    events = _rows(await connection.fetch(_QUERIES["unmatched_events"], reference))
    return events, _rows(await connection.fetch(_QUERIES["dead_letters"], [], [reference]))


async def _tell_mappings(
    connection: Connection,
    found_by: str,
    mappings: Sequence[UUID],
    limit: int | None,
    loose: tuple[list[Row], list[Row]],
) -> Story:
    last = _ids(await connection.fetch(_QUERIES["last_messages"], mappings, limit))
    return await _tell(connection, found_by, last, mappings, loose)


async def _tell(
    connection: Connection,
    found_by: str,
    message_ids: Sequence[UUID],
    mapping_ids: Sequence[UUID],
    loose: tuple[list[Row], list[Row]],
) -> Story:
    messages = await _read_messages(connection, message_ids)
    wanted = {*mapping_ids, *(message["mapping_id"] for message in messages)}
    mappings = _rows(await connection.fetch(_QUERIES["mappings"], list(wanted)))
    for mapping in mappings:
        mapping["messages"] = [item for item in messages if item["mapping_id"] == mapping["id"]]
    told = {letter["id"] for message in messages for letter in message["dead_letters"]}
    events, letters = loose
    untold = [letter for letter in letters if letter["id"] not in told]
    steps = steps_of(messages) if found_by == "trace" else ()
    return Story(found_by, mappings, events, untold, steps=steps)


async def _read_messages(connection: Connection, ids: Sequence[UUID]) -> list[Row]:
    messages = _rows(await connection.fetch(_QUERIES["messages"], ids))
    attempts = _by_message(await connection.fetch(_QUERIES["attempts"], ids))
    events = _by_message(await connection.fetch(_QUERIES["events"], ids))
    deferrals = _by_message(await connection.fetch(_QUERIES["deferrals"], ids))
    wamids = [message["wamid"] for message in messages if message["wamid"] is not None]
    letters = _rows(await connection.fetch(_QUERIES["dead_letters"], ids, wamids))
    for message in messages:
        message["attempts"] = attempts[message["id"]]
        message["status_events"] = events[message["id"]]
        message["deferral"] = next(iter(deferrals[message["id"]]), None)
        message["dead_letters"] = [letter for letter in letters if _concerns(letter, message)]
        message["steps"] = steps_of([message])
    return messages


def _concerns(letter: Row, message: Row) -> bool:
    if letter["message_id"] is not None:
        return bool(letter["message_id"] == message["id"])
    return letter["wamid"] is not None and bool(letter["wamid"] == message["wamid"])


def _by_message(rows: Iterable[asyncpg.Record]) -> defaultdict[UUID, list[Row]]:
    grouped: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in _rows(rows):
        grouped[row.pop("message_id")].append(row)
    return grouped


def _rows(records: Iterable[asyncpg.Record]) -> list[Row]:
    return [dict(record) for record in records]


def _ids(records: Iterable[asyncpg.Record]) -> list[UUID]:
    return [record[0] for record in records]
