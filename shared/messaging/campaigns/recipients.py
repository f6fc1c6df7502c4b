"""Recipients' rows: adding them, counting them, and what is known of the customers behind them.

Owns the statements that both the batcher and a launch need. Statuses after `queued` are moved by
`shared.messaging.messages`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final, TypeVar

from shared.durations import Durations
from shared.messaging.campaigns.messages import Reachability
from shared.messaging.campaigns.statements import QUERIES
from shared.postgres.database import Connection, touched

#: Rows of one statement: a long list must not become one long one.
_CHUNK: Final = 2000

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
        variables = [None if given is None else json.dumps(given) for _, given in chunk]
        tag = await connection.execute(QUERIES["add_recipients"], campaign_id, names, variables)
        added += touched(tag)
    return added


async def count_recipients(connection: Connection, campaign_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many recipients each campaign has, by status. Reads all of their rows."""
    counts: dict[str, dict[str, int]] = {campaign_id: {} for campaign_id in campaign_ids}
    for row in await connection.fetch(QUERIES["count_recipients"], list(campaign_ids)):
        counts[row["campaign_id"]][row["status"]] = row["recipients"]
    return counts


async def read_reachability(
    connection: Connection, phone_number_id: str, wa_ids: Sequence[str], durations: Durations
) -> dict[str, Reachability]:
    """Consent and customer service window of each of these customers of a number."""
    window = timedelta(hours=durations.window_h)
    rows = await connection.fetch(QUERIES["read_reachability"], list(wa_ids), phone_number_id, window)
    return {
        row["wa_id"]: Reachability(row["refuses_marketing"], row["refuses_all"], row["window_open"])
        for row in rows
    }


def read_variables(text: str | None) -> dict[str, Any] | None:
    """Variables as PostgreSQL holds them; a number keeps its digits, however many."""
    if text is None:
        return None
    variables: dict[str, Any] = json.loads(text, parse_float=str, parse_int=str)
    return variables


def chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    """As many at a time as one statement takes."""
    left = iter(rows)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
