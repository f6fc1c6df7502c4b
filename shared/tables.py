"""What every table says of itself, gathered for the programs that prune, count and erase.

It stands above all nouns: no noun and no mechanism imports it.
"""

from typing import Final

from shared.commerce.upkeep import TABLES as COMMERCE
from shared.deadletters import upkeep as deadletters
from shared.durable import upkeep as durable
from shared.messaging.upkeep import TABLES as MESSAGING
from shared.postgres import upkeep as postgres

#: In the order in which they are pruned, and told of an erasure.
TABLES: Final = (
    *COMMERCE,
    *MESSAGING,
    *durable.TABLES,
    *deadletters.TABLES,
    *postgres.TABLES,
)
