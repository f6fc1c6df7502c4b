"""What the tables of customers say of themselves."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import MOST_COUNTED, Counted, Kept, Table, Theirs

_BEFORE: Final = Queries("shared.messaging.customers", "before.sql")

TABLES: Final = (
    Table(
        "customer_profiles", Kept("consent holds until the customer is erased"), Theirs(addresses=("phone",))
    ),
    Table(
        "consent_events",
        Kept("the proof of what they want stays until the customer is erased"),
        Theirs(addresses=("phone",)),
    ),
    Table("suppressions", Kept("a refusal outlives an erasure, until a later one without it"), None),
    Table(
        "customer_addresses",
        Kept("whose an address is or was holds until the customer is erased"),
        Theirs(addresses=("address", "phone", "left_for")),
        (Counted("identity_unnamed", _BEFORE["count_unnamed"], (MOST_COUNTED,), labelled=True),),
    ),
)
