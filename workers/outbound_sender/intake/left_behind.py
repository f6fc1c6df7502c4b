"""Messages that the intake left behind, since somebody else has their customer locked.

Owns who was left, and whose customers' later messages must not come before them. That each comes again alone,
before what came later to its queue, is the consumer's doing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from shared.amqp.delivery import Delivery
from shared.errors import StoreConflict


class LeftBehind:
    """Deliveries that were left, each with the key of its customer's lock.

    One that never comes again (it was given up, or given back) drops out when its memory is freed. Until then
    its customer's messages are left once each for nothing, and go at their second look.
    """

    def __init__(self) -> None:
        self._keys: WeakKeyDictionary[Delivery, str] = WeakKeyDictionary()

    def __contains__(self, delivery: Delivery) -> bool:
        return delivery in self._keys

    @property
    def customers(self) -> set[str]:
        """Keys of customers of whom some message was left."""
        return set(self._keys.values())

    def add(self, deliveries: Iterable[Delivery], key: str) -> None:
        """They are left."""
        for delivery in deliveries:
            self._keys[delivery] = key

    @contextmanager
    def admitting(self, deliveries: Iterable[Delivery]) -> Iterator[None]:
        """They are left no longer, unless their customer is locked still."""
        try:
            yield
        except StoreConflict:
            raise
        except BaseException:
            self._forget(deliveries)
            raise
        self._forget(deliveries)

    def _forget(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._keys.pop(delivery, None)
