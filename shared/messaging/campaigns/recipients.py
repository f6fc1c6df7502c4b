"""Recipients' rows: added, counted, queued, skipped, given back, moved; and what is known of the customers.

Owns `broadcast_recipients`, in the transactions of those who decide. The sender writes it too, to
save a round trip: `track` and `claim` bind a recipient to its message.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

from shared.durations import Durations
from shared.messaging.campaigns.messages import Reachability, SkipReason
from shared.messaging.customers.notation import platform_notation
from shared.postgres.database import Connection, Database, touched
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.campaigns", "recipients.sql")
#: Rows of one statement: a long list must not become one long one.
_CHUNK: Final = 2000
#: Recipients of one statement: a campaign of millions is cancelled in short transactions.
_SKIPPED_AT_ONCE: Final = 1000

#: A customer and the values that the content takes for them.
Row = tuple[str, Mapping[str, Any] | None]

T = TypeVar("T")


async def add_recipients(connection: Connection, campaign_id: str, rows: Iterable[Row]) -> int:
    """Add customers to a campaign, each once whoever added them; returns how many are new.

    In the caller's transaction, in chunks.
    """
    added = 0
    for chunk in chunks(rows):
        names = [wa_id for wa_id, _ in chunk]
        notations = list(map(platform_notation, names))
        variables = [None if given is None else json.dumps(given) for _, given in chunk]
        tag = await connection.execute(_QUERIES["add_recipients"], campaign_id, names, variables, notations)
        added += touched(tag)
    return added


async def count_recipients(connection: Connection, campaign_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many recipients each campaign has, by status. Reads all of their rows."""
    counts: dict[str, dict[str, int]] = {campaign_id: {} for campaign_id in campaign_ids}
    for row in await connection.fetch(_QUERIES["count_recipients"], list(campaign_ids)):
        counts[row["campaign_id"]][row["status"]] = row["recipients"]
    return counts


async def read_reachability(
    connection: Connection,
    campaign_id: str,
    phone_number_id: str,
    wa_ids: Sequence[str],
    durations: Durations,
) -> dict[str, Reachability]:
    """Who each of these is, and their consent and customer service window at a number, by address."""
    window = timedelta(hours=durations.window_h)
    notations = list(map(platform_notation, wa_ids))
    rows = await connection.fetch(
        _QUERIES["read_reachability"], list(wa_ids), phone_number_id, window, notations, campaign_id
    )
    names = [item.name for item in fields(Reachability)]
    return {row["wa_id"]: Reachability(**{name: row[name] for name in names}) for row in rows}


async def queue_recipients(connection: Connection, customers: Mapping[int, str]) -> None:
    """Their messages are handed to the sender; who they are, by the ids of their rows."""
    if customers:
        await connection.execute(_QUERIES["queue"], list(customers), list(customers.values()))


async def skip_recipients(connection: Connection, reasons: Mapping[int, SkipReason]) -> None:
    """They are sent nothing; why, by the ids of their rows."""
    if reasons:
        await connection.execute(_QUERIES["skip"], list(reasons), list(reasons.values()))


async def skip_pending(database: Database, campaign_id: str) -> None:
    """Skip whoever is still pending in a cancelled campaign. Safe to repeat, and to stop anywhere.

    No batch can be under way: it would hold the row whose change to `cancelled` is committed.
    """
    while True:
        skipped = await database.execute(
            _QUERIES["skip_pending"], campaign_id, SkipReason.CAMPAIGN_CANCELLED, _SKIPPED_AT_ONCE
        )
        if skipped < _SKIPPED_AT_ONCE:
            return


async def skip_cancelled(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Skip the recipients of messages that end because their campaign is cancelled."""
    if message_ids:
        await connection.execute(_QUERIES["skip_cancelled"], list(message_ids))


async def return_unsent(
    connection: Connection, returned: Sequence[tuple[UUID, str | None, str, str | None]]
) -> None:
    """Give recipients of messages that were never sent back to their campaign.

    Each is the message, the address that it was asked for, the status to have, and why one is `skipped`.
    """
    if returned:
        await connection.execute(_QUERIES["return_unsent"], *_columns(returned))


async def return_refused(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Give recipients whose message was refused back to their campaign, as if it had never been sent."""
    if message_ids:
        await connection.execute(_QUERIES["return_refused"], list(message_ids))


async def requeue_recipients(connection: Connection, message_ids: Sequence[UUID], *, in_doubt: bool) -> None:
    """Their messages are under way again. `in_doubt`: what was refused may be their template's fault."""
    if message_ids:
        await connection.execute(_QUERIES["requeue_recipients"], list(message_ids), in_doubt)


async def move_recipients(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Let recipients follow their messages: id, status, wamid, three times, error code; never backwards."""
    if rows:
        await connection.execute(_QUERIES["move_recipients"], *_columns(rows))


async def fail_recipients(connection: Connection, dead: Sequence[tuple[str, str, str]]) -> None:
    """Fail queued recipients whose message died before it became a row: campaign, customer, error code."""
    if dead:
        await connection.execute(_QUERIES["fail_recipients"], *_columns(dead))


def read_variables(text: str | None) -> dict[str, Any] | None:
    """Variables as PostgreSQL holds them; a number keeps its digits, however many."""
    if text is None:
        return None
    variables: dict[str, Any] = json.loads(text, parse_float=str, parse_int=str)
    return variables


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    """As many at a time as one statement takes."""
    left = iter(rows)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
