"""What the tables of conversations say of themselves."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import MOST_COUNTED, Counted, Kept, Table, Theirs

_QUERIES: Final = Queries("shared.messaging.conversations", "upkeep.sql")

TABLES: Final = (
    Table("conversation_aliases", Kept("with their mapping"), Theirs(mappings=("mapping_id",))),
    Table(
        "conversation_mappings",
        Kept("past ones tell a closed or expired mapping from one that never was"),
        Theirs(addresses=("customer", "wa_id", "user_id")),
        (Counted("active_conversations", _QUERIES["count_active"], (MOST_COUNTED,)),),
    ),
)
