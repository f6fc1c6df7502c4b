"""What the tables of this folder say of themselves."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import Counted, Kept, Retention, Table, Theirs

_OUTBOX: Final = Queries("shared.durable", "outbox.sql")
_DEFERRAL: Final = Queries("shared.durable", "deferral.sql")
_ASIDE: Final = Queries("shared.durable", "aside.sql")

TABLES: Final = (
    Table(
        "outbox_events",
        Retention(
            days=lambda durations: durations.retention_floor_days, age="created_at", prune=_OUTBOX["prune"]
        ),
        Theirs(texts=("aggregate_id", "payload")),
        (Counted("outbox_oldest", _OUTBOX["oldest_unmarked_s"]),),
    ),
    Table(
        "deferred_messages",
        Kept("until handled"),
        Theirs(addresses=("customer",), messages=("message_id",), texts=("body",)),
        (Counted("deferred_messages", _DEFERRAL["count_deferred"], labelled=True),),
    ),
    Table(
        "rows_set_aside",
        Kept("until tried again"),
        theirs=None,
        counted=(Counted("rows_set_aside", _ASIDE["count"], labelled=True),),
    ),
)
