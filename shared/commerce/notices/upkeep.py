"""What the tables of automatic messages say of themselves."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import MOST_COUNTED, Counted, Retention, Table, Theirs

_QUERIES: Final = Queries("shared.commerce.notices", "upkeep.sql")
_DUE: Final = Queries("shared.commerce.notices", "due.sql")

TABLES: Final = (
    Table(
        "notification_log",
        Retention(
            lambda durations: max(durations.retention_floor_days, durations.retention_notices_days),
            "created_at",
            _QUERIES["prune"],
        ),
        Theirs(
            addresses=("customer_phone",),
            messages=("message_id",),
            erase=_QUERIES["erase"],
            export=_QUERIES["export"],
        ),
        (Counted("notices_pending", _DUE["count_pending"], (MOST_COUNTED,), labelled=True),),
    ),
    Table(
        "reengagement",
        Retention(
            lambda durations: max(durations.retention_floor_days, durations.retention_reengagement_days),
            "created_at",
            _QUERIES["prune_reengagement"],
        ),
        Theirs(
            addresses=("customer_phone",),
            erase=_QUERIES["erase_reengagement"],
            export=_QUERIES["export_reengagement"],
        ),
    ),
)
