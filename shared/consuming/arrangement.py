"""In which parts and order a batch is worked: a message that kills its worker takes no neighbour along.

A redelivered message is worked alone, before the fresh ones. A killer among them counts against everything in
hand; so the customers are shuffled: it does not always die before the same neighbours have been worked.
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
    def once_redelivered(self) -> list[list[Delivery]]:
        """Chains that were in hand at one crash only: most likely a neighbour's, or an operator's, doing."""
        return [chain for chain in self.chains if _was_redelivered_once(chain)]

    @property
    def often_redelivered(self) -> list[list[Delivery]]:
        """The other chains: they may hold a killer, and are worked strictly one by one."""
        return [chain for chain in self.chains if not _was_redelivered_once(chain)]

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


def _was_redelivered_once(chain: Sequence[Delivery]) -> bool:
    return all(item.deliveries_before <= 1 for item in chain)
