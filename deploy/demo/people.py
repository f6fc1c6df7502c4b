"""People with several addresses: a phone in two notations, a hidden one, one that changes hands. Pure.

Owns who they are, what they write under which address, and which of it may be known to belong together when.
Their ids are those that the sandbox gives: only the platform knows them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from deploy.demo.customers import Customer, Incoming
from deploy.demo.day import NUMBERS, Day
from deploy.sandbox.customers import notation_of, user_id_of

#: Shares of the day: what is written first, how much later what is written next, when a number changes hands,
#: and when its next owner and its former one write.
_FIRST: Final = (0.02, 0.15)
_ANY_TIME: Final = (0.02, 0.5)
_LATER: Final = (0.1, 0.3)
_CHANGE: Final = (0.25, 0.5)
_AFTER: Final = 0.6
#: So soon a hidden customer writes under the phone, too: mostly before anything has told whose it is.
_SOON_S: Final = (0.05, 1.0)


@dataclass(frozen=True, slots=True)
class Hidden:
    """A customer who writes under an id and under a phone, until a message names both (`joining`)."""

    customer: Customer
    user_id: str
    joining: Incoming


@dataclass(frozen=True, slots=True)
class Move:
    """A customer who leaves the number `old`, `at_s` into the day, and the stranger who has it afterwards.

    What both write after it, they write once it is known.
    """

    customer: Customer
    stranger: Customer
    old: str
    at_s: float

    @property
    def after(self) -> tuple[tuple[Customer, Incoming], ...]:
        """What is written after the change, and by whom."""
        return (self.customer, self.customer.incoming[-1]), (self.stranger, self.stranger.incoming[-1])


@dataclass(frozen=True, slots=True)
class People:
    """Customers of several addresses. `twofold`: in two notations, of which `others[0]` is not WhatsApp's."""

    twofold: tuple[Customer, ...]
    hidden: tuple[Hidden, ...]
    moves: tuple[Move, ...]

    @property
    def everybody(self) -> tuple[Customer, ...]:
        """All of them, strangers too."""
        movers = (customer for move in self.moves for customer in (move.stranger, move.customer))
        return (*self.twofold, *(one.customer for one in self.hidden), *movers)


def make_people(day: Day, random: Random) -> People:
    """`day.several` of each kind."""
    return People(
        tuple(_make_twofold(day, random, place) for place in range(day.several)),
        tuple(_make_hidden(day, random, place) for place in range(day.several)),
        tuple(_make_move(day, random, place) for place in range(day.several)),
    )


def _notations(place: int) -> tuple[str, str]:
    """WhatsApp's and the other one, in turn of São Paulo, Fortaleza, Mexico and Argentina."""
    local = f"98{place:03d}{100 + place}"
    phone = (f"55119{local}", f"55859{local}", f"52155{local}", f"54911{local}")[place % 4]
    other = (f"5511{local}", f"55859{local}", f"5255{local}", f"5411{local}")[place % 4]
    return notation_of(phone), other


def _make_twofold(day: Day, random: Random, place: int) -> Customer:
    wa_id, other = _notations(place)
    senders = (wa_id, other, wa_id) if place % 2 else (other, wa_id, other)
    times = [random.uniform(*_FIRST)]
    times += [times[0] + random.uniform(*_LATER) for _ in senders[1:]]
    return replace(
        _customer(place, "Twofold", wa_id, (other, user_id_of(wa_id))),
        incoming=tuple(
            replace(message, sender=sender)
            for message, sender in zip(_write(day, wa_id, sorted(times)), senders, strict=True)
        ),
    )


def _make_hidden(day: Day, random: Random, place: int) -> Hidden:
    phone = f"49175{place:05d}{100 + place}"
    user_id = user_id_of(phone)
    first = random.uniform(*_ANY_TIME)
    soon = first + random.uniform(*_SOON_S) / day.duration_s
    alone, under_phone, both = _write(day, phone, [first, soon, soon + random.uniform(*_LATER)])
    joining = replace(both, user_id=user_id)
    customer = replace(
        _customer(place, "Hidden", phone, (user_id,)),
        incoming=(replace(alone, sender=user_id, is_stray=True), under_phone, joining),
    )
    return Hidden(customer, user_id, joining)


def _make_move(day: Day, random: Random, place: int) -> Move:
    old, new = f"49174{place:05d}{100 + place}", f"49173{place:05d}{100 + place}"
    at = random.uniform(*_CHANGE)
    before, after = _write(day, new, [random.uniform(*_FIRST), _AFTER])
    (strange,) = _write(day, old, [_AFTER])
    new_id, strange_id = user_id_of(new, owner=1), user_id_of(old, owner=1)
    mover = replace(
        _customer(place, "Mover", new, (old, user_id_of(old), new_id)),
        incoming=(replace(before, sender=old, user_id=user_id_of(old)), replace(after, user_id=new_id)),
    )
    stranger = replace(
        _customer(place, "Stranger", old, (strange_id,)),
        incoming=(replace(strange, user_id=strange_id),),
    )
    return Move(mover, stranger, old, at * day.duration_s)


def _customer(place: int, kind: str, wa_id: str, others: tuple[str, ...]) -> Customer:
    return Customer(
        wa_id=wa_id,
        number=NUMBERS[place % len(NUMBERS)],
        name=f"{kind} {place}",
        incoming=(),
        replies=1,
        others=others,
    )


def _write(day: Day, wa_id: str, shares: list[float]) -> Iterator[Incoming]:
    for n, share in enumerate(shares):
        wamid = f"wamid.day{day.seed}.{wa_id}.{n}"
        yield Incoming(wamid, share * day.duration_s, f"Message {n} of {wa_id}")
