"""What the tables of messages say of themselves. In the order in which they are pruned: what hangs on a
message goes before it.
"""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import Retention, Table, Theirs

_QUERIES: Final = Queries("shared.messaging.messages", "upkeep.sql")

#: What is under way is not pruned; whoever prunes makes it fail first.
MESSAGES: Final = Retention(
    days=lambda d: max(d.retention_floor_days, d.retention_messages_days),
    age="created_at",
    prune=_QUERIES["prune_messages"],
    find=_QUERIES["find_old_messages"],
)

TABLES: Final = (
    Table(
        "status_events",
        Retention(
            days=lambda d: max(d.retention_floor_days, d.retention_status_events_days),
            age="received_at",
            prune=_QUERIES["prune_status_events"],
        ),
        Theirs(
            messages=("message_id", "wamid", "genesys_message_id", "callback_data"),
            texts=("details", "raw_body", "raw_headers"),
        ),
    ),
    Table(
        "send_attempts",
        Retention(
            days=lambda d: max(d.retention_floor_days, d.retention_attempts_days),
            age="started_at",
            prune=_QUERIES["prune_attempts"],
        ),
        Theirs(messages=("message_id",)),
    ),
    Table(
        "outbound_bodies",
        Retention(
            days=lambda d: d.retention_floor_days,
            age="created_at",
            prune=_QUERIES["prune_bodies"],
        ),
        Theirs(messages=("message_id",)),
    ),
    Table("message_tracking", MESSAGES, Theirs(mappings=("mapping_id",))),
)
