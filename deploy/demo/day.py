"""How much happens on the day that is played, and how long it takes."""

from dataclasses import dataclass
from typing import Final

#: The business numbers that customers write to.
NUMBERS: Final = ("15550001001", "15550001002")
#: A third one, whose account the platform locks: a person must set it going again.
LOCKED_NUMBER: Final = "15550001003"
CAMPAIGN_ID: Final = "spring-offer"


@dataclass(frozen=True, slots=True)
class Day:
    """Sizes of the day. The same `seed` plays the same customers, messages and times again.

    `opted_out` of the `campaign` recipients want no marketing. Workers are killed at these shares of the day.
    """

    seed: int
    customers: int = 2000
    campaign: int = 500
    opted_out: int = 50
    closings: int = 40
    duration_s: float = 36.0
    #: How long after the day everything may take to come to rest.
    rest_s: float = 120.0
    kills: tuple[tuple[float, str], ...] = ((0.4, "inbound-resolver"), (0.6, "status-updater"))
