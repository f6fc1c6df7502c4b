"""In which parts and order a batch is worked: a message that kills its worker takes no neighbour along.

Redelivered messages are worked before the fresh ones, and the more often they came, the fewer at once: the
broker counts what a worker gave back as it counts what a crash took along, and a replica gives back hundreds.
A killer counts against everything in hand; so the customers are shuffled: it does not always die before the
same neighbours have been worked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from shared.amqp.delivery import Delivery

#: From so many deliveries on, a message's own customer's order no longer shields the killer.
_SUSPECT = 10

OrderKey = Callable[[Delivery], str | None]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`chains`: redelivered messages, those of one key in their order. `fresh`: the others, in theirs."""

    chains: list[list[Delivery]]
    fresh: list[Delivery]

    @property
    def once_redelivered(self) -> list[Delivery]:
        """Of chains that were in hand once: most likely they were given back, or had a killer beside them."""
        return [item for chain in self.chains if _redeliveries(chain) <= 1 for item in chain]

    @property
    def twice_redelivered(self) -> list[list[Delivery]]:
        """Chains that were in hand twice."""
        return [chain for chain in self.chains if _redeliveries(chain) == 2]

    @property
    def often_redelivered(self) -> list[list[Delivery]]:
        """The other chains: they may hold a killer."""
        return [chain for chain in self.chains if _redeliveries(chain) > 2]

    @property
    def parts(self) -> list[list[Delivery]]:
        """What is worked together, in an order in which it may be begun."""
        alone = [[item] for chain in self.chains for item in chain]
        return [*alone, self.fresh] if self.fresh else alone


def arrange(batch: Sequence[Delivery], order_key: OrderKey, random: Random) -> Arrangement:
    """Split a batch. Order within one key is kept where each chain is worked one by one, before the fresh."""
    fresh = [item for item in batch if not item.redelivered]
    groups: dict[object, list[Delivery]] = {}
    for item in batch:
        if item.redelivered:
            key = order_key(item) if item.deliveries_before < _SUSPECT else None
            groups.setdefault(item.tag if key is None else key, []).append(item)
    shuffled = list(groups.values())
    random.shuffle(shuffled)
    return Arrangement(shuffled, fresh)


def _redeliveries(chain: Sequence[Delivery]) -> int:
    return max(item.deliveries_before for item in chain)
