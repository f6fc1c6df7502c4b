"""Every statement that runs by itself or for a message, with arguments as in a big installation.

Those that move many rows come last: where rows moved, an index alone does not do for whatever counts them.
"""

from typing import Final

from tests.integration.growth.figures import Measured
from tests.integration.growth.of_shops import PER_FACT, PERIODIC_OF_SHOPS
from tests.integration.growth.per_message import PER_MESSAGE
from tests.integration.growth.periodic import PERIODIC

CATALOGUE: Final[tuple[Measured, ...]] = (*PERIODIC_OF_SHOPS, *PERIODIC, *PER_MESSAGE, *PER_FACT)
