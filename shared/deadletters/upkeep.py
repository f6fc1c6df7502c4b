"""What the table of dead letters says of itself."""

from typing import Final

from shared.deadletters.store import QUERIES
from shared.upkeep import MOST_COUNTED, Counted, Retention, Table, Theirs

TABLES: Final = (
    Table(
        "dead_letter_queue",
        # Only of those that are settled: open ones wait for a person, however long.
        Retention(
            days=lambda durations: durations.retention_dead_letters_days,
            age="coalesce(replayed_at, dismissed_at, created_at)",
            prune=QUERIES["prune_settled"],
        ),
        Theirs(
            messages=("message_id",),
            texts=(
                "payload",
                "raw_body",
                "headers",
                "metadata",
                "routing_key",
                "dedupe_key",
                "error_message",
            ),
        ),
        (Counted("dlq_pending", QUERIES["count_pending_dead_letters"], (MOST_COUNTED,)),),
    ),
)
