"""What the tables of messaging say of themselves, gathered."""

from typing import Final

from shared.messaging.campaigns import upkeep as campaigns
from shared.messaging.conversations import upkeep as conversations
from shared.messaging.customers import upkeep as customers
from shared.messaging.messages import upkeep as messages
from shared.messaging.numbers import upkeep as numbers

#: In the order in which they are pruned, and told of an erasure.
TABLES: Final = (
    *messages.TABLES,
    *conversations.TABLES,
    *customers.TABLES,
    *campaigns.TABLES,
    *numbers.TABLES,
)
