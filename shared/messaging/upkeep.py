"""What every table says of itself, gathered: those of messaging, and those of the mechanisms below it."""

from typing import Final

from shared.deadletters import upkeep as deadletters
from shared.durable import upkeep as durable
from shared.messaging.campaigns import upkeep as campaigns
from shared.messaging.conversations import upkeep as conversations
from shared.messaging.customers import upkeep as customers
from shared.messaging.messages import upkeep as messages
from shared.messaging.numbers import upkeep as numbers
from shared.postgres import upkeep as postgres

#: In the order in which they are pruned, and told of an erasure.
TABLES: Final = (
    *messages.TABLES,
    *conversations.TABLES,
    *customers.TABLES,
    *campaigns.TABLES,
    *numbers.TABLES,
    *durable.TABLES,
    *deadletters.TABLES,
    *postgres.TABLES,
)
