"""What the tables of campaigns say of themselves."""

from typing import Final

from shared.upkeep import Kept, Table, Theirs

TABLES: Final = (
    Table(
        "broadcast_recipients",
        Kept("with their campaign"),
        Theirs(addresses=("customer", "wa_id"), messages=("message_id",)),
    ),
    # An erasure cuts the raw body of a launch out of `metadata`; the row itself is nobody's.
    Table("broadcast_campaigns", Kept("few, and small without their messages"), theirs=None),
)
