"""What somebody tells about two addresses, weighed: are they one person's? Pure.

Owns the decision; `identities` carries it out. In doubt persons stay apart, and the address says why.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from shared.messaging.customers.joining import who_stays
from shared.messaging.customers.notation import is_phone

#: Ids at one phone: beyond that it is a device that many share. Those that came first stay its customer's:
#: here alone the order counts, for nobody parts a person again.
MOST_IDS: Final = 20

Source: TypeAlias = Literal["inbound", "answer", "status", "system", "operator"]


class AddressDoubt(StrEnum):
    """Why evidence was not followed."""

    TWO_PHONES = "two_phones"
    SHARED_DEVICE = "shared_device"
    OWN_NUMBER = "own_number"
    NO_NEW_ADDRESS = "no_new_address"
    STALE = "stale"
    #: An operator said that it is another person's: only an operator joins it again.
    UNLINKED = "unlinked"


@dataclass(frozen=True, slots=True)
class AddressEvidence:
    """Two addresses of one person, in any notation, told at a time by the platform's clock.

    `is_change`: `address` was given up for `other`, which is None where nobody says which. `own_number`: the
    business's, as its customers dial it.
    """

    address: str
    other: str | None
    source: Source
    at: datetime
    trace_id: str
    is_change: bool = False
    own_number: str | None = None


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address as it stands: whose it is, since when, until when if it was given up.

    `since` None: by rule alone, nobody has told of it. `left_at`: when its last change was; `moved_at`: when
    its person came to it from another.
    """

    address: str
    phone: str
    since: datetime | None
    released_at: datetime | None
    left_at: datetime | None = None
    moved_at: datetime | None = None
    doubt: str | None = None

    def owner_at(self, at: datetime) -> str | None:
        """Whose it was at a time; None: it had been given up by then."""
        return self.phone if self.released_at is None or at <= self.released_at else None


@dataclass(frozen=True, slots=True)
class AddressVerdict:
    """What becomes of it. `taken`: an address that becomes `stays`'s by itself; `gone` joins `stays`;

    `released`: an address that is given up.
    """

    outcome: Literal["known", "joined", "doubted"]
    stays: str
    gone: str | None = None
    taken: str | None = None
    released: str | None = None
    doubt: AddressDoubt | None = None
    doubted: str | None = None


def weigh(
    evidence: AddressEvidence, one: HeldAddress, other: HeldAddress, ids: int, *, has_moved: bool
) -> AddressVerdict:
    """Whether two addresses are one person's. Pure.

    `ids`: how many ids both persons hold together. `has_moved`: one of them had given an address up by then;
    a status of a message that was dialled there may name whoever has it now.
    """
    if evidence.is_change:
        return _weigh_change(evidence, one, other)
    first, second = one.owner_at(evidence.at), other.owner_at(evidence.at)
    if first is None or second is None:
        return _take_over(evidence, one, other)
    if first == second:
        return AddressVerdict("known", first)
    if evidence.source != "operator" and (parted := _parted(one, other)) is not None:
        return AddressVerdict("doubted", first, doubt=AddressDoubt.UNLINKED, doubted=parted)
    if evidence.source == "status" and has_moved:
        return AddressVerdict("doubted", first, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
    if is_phone(first) and is_phone(second):
        if not (is_phone(one.address) and is_phone(other.address)):
            return _contest(evidence, one, other)
        if evidence.source == "status":
            return AddressVerdict("doubted", first, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
        return AddressVerdict("joined", second, gone=first)
    stays = who_stays(first, second)
    if ids > MOST_IDS:
        named = other.address if is_phone(one.address) else one.address
        return AddressVerdict("doubted", stays, doubt=AddressDoubt.SHARED_DEVICE, doubted=named)
    return AddressVerdict("joined", stays, gone=first if stays == second else second)


def _parted(one: HeldAddress, other: HeldAddress) -> str | None:
    """The address of which an operator said that it is another person's."""
    return next((held.address for held in (one, other) if held.doubt == AddressDoubt.UNLINKED), None)


def _take_over(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    """Somebody new writes from what another gave up: it is theirs, and what they are known by beside it."""
    free, known = (one, other) if one.owner_at(evidence.at) is None else (other, one)
    beside = known.owner_at(evidence.at)
    if beside is None or (is_phone(beside) and is_phone(free.address)):
        return AddressVerdict(
            "doubted", free.address, taken=free.address, doubt=AddressDoubt.TWO_PHONES, doubted=known.address
        )
    stays = who_stays(free.address, beside)
    return AddressVerdict("joined", stays, gone=None if stays == beside else beside, taken=free.address)


def _contest(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    """An id named with two phones, and no change told: it is whose it was first, by the platform's clock.

    Of two at the same time it is the lesser phone's.
    """
    phone, named = (one, other) if is_phone(one.address) else (other, one)
    if named.since is not None and (named.since, named.phone) < (evidence.at, phone.phone):
        return AddressVerdict("doubted", named.phone, doubt=AddressDoubt.TWO_PHONES, doubted=named.address)
    return AddressVerdict(
        "doubted", phone.phone, taken=named.address, doubt=AddressDoubt.TWO_PHONES, doubted=named.address
    )


def _weigh_change(evidence: AddressEvidence, one: HeldAddress, other: HeldAddress) -> AddressVerdict:
    """Of several changes of one address the last is followed."""
    at = evidence.at
    if any(changed is not None and changed > at for changed in (one.left_at, one.moved_at)):
        return AddressVerdict("doubted", one.phone, doubt=AddressDoubt.STALE, doubted=one.address)
    if one.left_at == at:
        return AddressVerdict("known", other.phone)
    leaving, arriving = one.owner_at(at), other.owner_at(at)
    if leaving is None or (one.since is not None and one.since > at):
        return AddressVerdict("known", other.phone)  # nobody has heard of whoever had it until then
    taken = other.address if arriving is None else None
    arriving = arriving or other.address
    if leaving == arriving:
        return AddressVerdict("joined", leaving, taken=taken, released=one.address)
    if other.doubt == AddressDoubt.UNLINKED:
        return AddressVerdict("doubted", leaving, doubt=AddressDoubt.UNLINKED, doubted=other.address)
    if leaving == one.address or is_phone(one.address):
        return AddressVerdict("joined", arriving, gone=leaving, taken=taken, released=one.address)
    if is_phone(leaving) and is_phone(arriving):
        return AddressVerdict("doubted", leaving, doubt=AddressDoubt.TWO_PHONES, doubted=other.address)
    stays = who_stays(leaving, arriving)
    gone = leaving if stays == arriving else arriving
    return AddressVerdict("joined", stays, gone=gone, taken=taken, released=one.address)
