"""What the tables of business numbers say of themselves."""

from typing import Final

from shared.observability.metrics import CIRCUIT_STATES
from shared.postgres.queries import Queries
from shared.upkeep import Counted, Kept, Table

_QUERIES: Final = Queries("shared.messaging.numbers", "upkeep.sql")
_FEW: Final = Kept("a row for each number of the business")

TABLES: Final = (
    Table(
        "business_numbers",
        _FEW,
        theirs=None,
        counted=(
            Counted("number_paused", _QUERIES["count_paused_numbers"]),
            Counted("number_paused_since", _QUERIES["read_paused_numbers"], labelled=True),
        ),
    ),
    Table(
        "circuit_breakers",
        _FEW,
        theirs=None,
        counted=(Counted("circuit_state", _QUERIES["read_circuits"], labelled=True, numbers=CIRCUIT_STATES),),
    ),
)
