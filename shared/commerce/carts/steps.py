"""What is due of a cart that idles: abandoned, reminded of, expired, and when it is looked at next. Pure.

Owns the times, all counted from the last activity: a look changes nothing that a second one would not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: Between the sending of one reminder and the planning of the next; less where their delays are nearer.
_APART: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class IdleCart:
    """An open cart, as far as its steps go, at the moment `now` of the database.

    `sent`: when each of the three reminders of its round was sent. `may_be_reminded_of`: there is something
    in it and somebody to tell, and no stop.
    """

    now: datetime
    last_activity_at: datetime
    is_abandoned: bool
    may_be_reminded_of: bool
    sent: Sequence[datetime | None] = (None, None, None)


@dataclass(frozen=True, slots=True)
class CartStep:
    """What a look at a cart found. `reminder`: the number of the one that is due; those below it are over.

    `reminder_ends_at`: from then on it says nothing new. `next_at` None: it expires, and is done.
    """

    next_at: datetime | None
    abandons: bool = False
    reminder: int | None = None
    reminder_ends_at: datetime | None = None

    @property
    def expires(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.next_at is None


def find_step(cart: IdleCart, reminders: Sequence[timedelta], expires: timedelta) -> CartStep:
    """What is due of it. `reminders`: their delays, one later than the other; all earlier than `expires`."""
    ends = [*reminders, expires]
    due = sum(cart.now >= cart.last_activity_at + delay for delay in reminders)
    if cart.now >= cart.last_activity_at + expires:
        return CartStep(None)
    following = cart.last_activity_at + ends[due]
    if due == 0 or not cart.may_be_reminded_of:
        return CartStep(following)
    spaced_at = _spaced_at(cart, reminders, due)
    if spaced_at >= following:
        return CartStep(following, abandons=not cart.is_abandoned)
    if spaced_at > cart.now:
        return CartStep(spaced_at, abandons=not cart.is_abandoned)
    return CartStep(following, not cart.is_abandoned, due, following)


def _spaced_at(cart: IdleCart, reminders: Sequence[timedelta], due: int) -> datetime:
    """When this one may follow the latest that was sent before it."""
    earlier = [(at, number) for number, at in enumerate(cart.sent[: due - 1], start=1) if at is not None]
    if not earlier:
        return cart.now
    sent_at, number = earlier[-1]
    return sent_at + min(_APART, (reminders[due - 1] - reminders[number - 1]) / 2)
