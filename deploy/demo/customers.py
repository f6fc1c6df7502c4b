"""The customers of the day: who they are, what they write and when. Pure, the same for the same seed.

Owns the shape of the traffic: two rush hours, bursts, repetitions as gateways make them, and recipients whose
last digits make the sandbox misbehave.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from deploy.demo.day import LOCKED_NUMBER, NUMBERS, Day

#: Ending of a recipient whose value is too long for the campaign's template: it fails alone.
TOO_LONG: Final = "917"
#: Ending of a recipient before whom a firewall stands: that is no verdict on the message, which waits
#: until it expires.
BLOCKED: Final = "918"
#: Endings that have their number paused: one by a status of what was accepted, the other by the answer.
_LOCKED, _GONE = "916", "921"
#: Endings of recipients that the sandbox refuses; what it does to the others only takes longer.
REFUSED: Final = ("906", "907", "908", TOO_LONG, BLOCKED, "919", "920", _GONE)
#: Endings with some behaviour of their own, but none that would hold up the day for minutes.
SPECIAL: Final = ("901", "905", *REFUSED, "909", "913", "914", "915", _LOCKED)
_OFTEN: Final = ("913", "914")
#: Customers of the locked number to whom nothing else happens: their replies wait, and go when it is resumed.
BYSTANDERS: Final = 3
_REPEATED_SHARE: Final = 0.08
_BURST_SHARE: Final = 0.01
_BURST: Final = 20
_HIDDEN_PHONE_SHARE: Final = 0.01
#: Nobody writes in the last part of the day, so that its end shows how the cluster comes to rest.
_LAST: Final = 0.95


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message of a customer, `at_s` into the day; a gateway hands it in again at each of `again_s`.

    `sender`: under which of the customer's addresses, None for `wa_id`. `user_id`: the business-scoped id
    that the gateway names beside it. `is_stray`: nothing told so far that this address is this customer's.
    """

    wamid: str
    at_s: float
    text: str
    again_s: tuple[float, ...] = ()
    sender: str | None = None
    user_id: str | None = None
    is_stray: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """`wa_id` as the database has it at the end of the day, `others`: what else they were known as, ever.

    `replies`: what agents answer to each conversation, or `at_once`.
    """

    wa_id: str
    number: str
    name: str
    incoming: tuple[Incoming, ...]
    replies: int
    closes: bool = False
    at_once: bool = False
    others: tuple[str, ...] = ()

    @property
    def addresses(self) -> frozenset[str]:
        """All that they were known as on that day."""
        return frozenset((self.wa_id, *self.others))

    @property
    def key(self) -> str:
        """Number and customer: what one active mapping is for."""
        return f"{self.number}/{self.wa_id}"

    @property
    def is_refused(self) -> bool:
        """Whether the platform takes no message to this customer."""
        return self.wa_id.endswith(REFUSED)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but load decides how long a message to this customer takes."""
        return self.number != LOCKED_NUMBER and not self.wa_id.endswith(SPECIAL)

    @property
    def is_blocked(self) -> bool:
        """Whether no message to this customer reaches the platform."""
        return self.wa_id.endswith(BLOCKED)

    @property
    def reply_dies_of(self) -> str | None:
        """The reason of the dead letter that a reply to this customer becomes."""
        if self.is_blocked:
            return "expired"
        return "send_rejected" if self.is_refused or self.wa_id.endswith(_LOCKED) else None

    def body(self, incoming: Incoming, timestamp: int) -> dict[str, Any]:
        """The `InboundMessage` of a gateway. Every tenth writes the phone with a plus."""
        sender = incoming.sender or self.wa_id
        plus = "+" if sender.isdigit() and sender.endswith("7") else ""
        body = {
            "wamid": incoming.wamid,
            "wa_id": f"{plus}{sender}",
            "timestamp": str(timestamp),
            "message_text": incoming.text,
            "contact_name": self.name,
            "phone_number_id": self.number,
        }
        return body if incoming.user_id is None else body | {"user_id": incoming.user_id}


def make_customers(day: Day, random: Random, count: int) -> list[Customer]:
    """`count` with one address each, the special ones last. The first `closings` are closed at some time."""
    ordinary = count - sum(len(group) for group in _specials()) - BYSTANDERS
    customers = [_make(day, random, place, _address(random, place)) for place in range(ordinary)]
    for group in _specials():
        for place, ending in group:
            customers.append(_make(day, random, place, f"49179{place:04d}{ending}"))
    customers += [_make(day, random, place, f"49178{place:04d}000", True) for place in range(BYSTANDERS)]
    return customers


def _specials() -> Iterator[list[tuple[int, str]]]:
    for ending in SPECIAL:
        yield [(place, ending) for place in range(12 if ending in _OFTEN else 2)]


def _address(random: Random, place: int) -> str:
    if random.random() < _HIDDEN_PHONE_SHARE:
        return f"DE.{random.getrandbits(60):015x}{place}x"
    return f"4917{place // 900:05d}{place % 900:03d}"


def _make(day: Day, random: Random, place: int, wa_id: str, is_bystander: bool = False) -> Customer:
    is_locked = is_bystander or wa_id.endswith((_LOCKED, _GONE))
    is_special = is_bystander or wa_id.endswith(SPECIAL)
    closes = not is_special and place < day.closings
    first_s = _first_s(day, random, early=is_special or closes)
    times = [first_s, *_later(day, random, first_s)]
    if closes:
        times = [first_s, day.duration_s * 0.9]
    return Customer(
        wa_id=wa_id,
        number=LOCKED_NUMBER if is_locked else NUMBERS[place % len(NUMBERS)],
        name=f"Customer {place}",
        incoming=tuple(_write(day, random, wa_id, n, at_s) for n, at_s in enumerate(times)),
        replies=1 if is_special or closes else random.choice((0, 0, 1, 1, 1, 2)),
        closes=closes,
    )


def _first_s(day: Day, random: Random, *, early: bool) -> float:
    """Two rush hours over an even day; what takes steps of its own begins early."""
    if early:
        return random.uniform(0.02, 0.3) * day.duration_s
    share = random.choice((random.random(), random.gauss(0.3, 0.08), random.gauss(0.65, 0.08)))
    return min(max(share, 0.0), _LAST) * day.duration_s


def _later(day: Day, random: Random, first_s: float) -> list[float]:
    if random.random() < _BURST_SHARE:
        return [first_s + n * 0.04 for n in range(1, _BURST)]
    times = [
        first_s + random.uniform(0.2, 0.2 * day.duration_s) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))
    ]
    return sorted(at_s for at_s in times if at_s < _LAST * day.duration_s)


def _write(day: Day, random: Random, wa_id: str, n: int, at_s: float) -> Incoming:
    again = tuple(
        at_s + random.choice((0.0, 0.05, random.uniform(0.1, 3.0)))
        for _ in range(random.choice((1, 1, 1, 2)) if random.random() < _REPEATED_SHARE else 0)
    )
    return Incoming(f"wamid.day{day.seed}.{wa_id}.{n}", at_s, f"Message {n} of {wa_id}", again)
