"""How much happens on the day that is played, and how long it takes."""

from dataclasses import dataclass, replace
from typing import Final, Self

#: The business numbers that customers write to.
NUMBERS: Final = ("15550001001", "15550001002")
#: A third one, whose account the platform locks: a person must set it going again.
LOCKED_NUMBER: Final = "15550001003"
CAMPAIGN_ID: Final = "spring-offer"
#: Customers of a day, as a share of the conversations that the machine carries: so rush hours, a campaign and
#: a worker that starts again find it with some time to spare.
_OFFERED: Final = 0.2
#: So few customers still have among them everybody to whom something special happens.
_FEWEST: Final = 120
#: Customers come in steps of so many, that a machine plays a seed alike each time.
_STEP: Final = 100


@dataclass(frozen=True, slots=True)
class Day:
    """Sizes of the day. The same `seed` and sizes play the same customers, messages and times again.

    `opted_out` of the `campaign` recipients want no marketing. `several` customers each have two notations of
    a phone, hide it, and leave it to somebody else. Workers are killed at these shares of the day.
    Before it, the machine is measured for `measure_s`.
    """

    seed: int
    customers: int = 2000
    campaign: int = 500
    opted_out: int = 50
    closings: int = 40
    several: int = 4
    duration_s: float = 36.0
    measure_s: float = 5.0
    #: How long after the day everything may take to come to rest.
    rest_s: float = 240.0
    kills: tuple[tuple[float, str], ...] = ((0.4, "inbound-resolver"), (0.6, "status-updater"))

    def fitted(self, carried: float) -> Self:
        """As much of it as a machine plays that carries so many conversations a second."""
        offered = int(carried * _OFFERED * self.duration_s) // _STEP * _STEP
        customers = min(self.customers, max(offered, _FEWEST))
        share = customers / self.customers
        return replace(
            self,
            customers=customers,
            campaign=int(self.campaign * share),
            opted_out=int(self.opted_out * share),
            closings=int(self.closings * share),
        )
