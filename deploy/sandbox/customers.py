"""Who the platform's customers are: each has a phone in the platform's notation and a business-scoped id.

Owns the platform's rule of notation, written here a second time on purpose: with the product's own rule, an
error in it would be made on both sides of the wire and never be seen. Everybody's id follows from the phone,
across sandboxes and restarts; only what was changed is remembered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

#: calling code -> country of an id; of the others, `ZZ`
_COUNTRIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1": "US",
        "7": "RU",
        "20": "EG",
        "27": "ZA",
        "31": "NL",
        "33": "FR",
        "34": "ES",
        "351": "PT",
        "39": "IT",
    }
    | {"41": "CH", "43": "AT", "44": "GB", "48": "PL", "49": "DE", "51": "PE", "52": "MX", "54": "AR"}
    | {"55": "BR", "56": "CL", "57": "CO", "60": "MY", "61": "AU", "62": "ID", "63": "PH", "65": "SG"}
    | {"81": "JP", "86": "CN", "90": "TR", "91": "IN", "92": "PK", "234": "NG", "254": "KE", "971": "AE"}
)
_LONGEST_CODE: Final = 3
_TO_LETTERS: Final = str.maketrans("0123456789", "abcdefghij")
_TO_DIGITS: Final = str.maketrans("abcdefghij", "0123456789")
_BRAZIL: Final = re.compile(r"55([1-9][0-9])9?([6-9][0-9]{7})")
_MEXICO: Final = re.compile(r"521?([0-9]{10})")
_ARGENTINA: Final = re.compile(r"549?([0-9]{10})")
#: the first area of Brazil whose mobile numbers have no ninth digit
_FIRST_WITHOUT_NINTH: Final = 31


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer as the platform names them. `wa_id` None: an id of which no phone is known."""

    wa_id: str | None
    user_id: str

    def shares(self, other: "Addressee") -> bool:
        """Whether they have an address in common."""
        return self.user_id == other.user_id or self.wa_id == other.wa_id is not None

    def describe(self, phone_key: str, user_id_key: str) -> dict[str, object]:
        """Under the keys that the platform has for them in this place; a phone that is not known has none."""
        named = {phone_key: self.wa_id, user_id_key: self.user_id}
        return {key: address for key, address in named.items() if address is not None}


def notation_of(phone: str) -> str:
    """The digits under which WhatsApp knows this phone, in whichever way it was dialled."""
    if found := _BRAZIL.fullmatch(phone):
        area, number = found.groups()
        return f"55{area}{'' if int(area) >= _FIRST_WITHOUT_NINTH else '9'}{number}"
    if found := _MEXICO.fullmatch(phone):
        return f"521{found[1]}"
    if found := _ARGENTINA.fullmatch(phone):
        return f"549{found[1]}"
    return phone


def user_id_of(phone: str, owner: int = 0) -> str:
    """The business-scoped id of a phone's owner, the first ever being 0.

    Its last three digits are the phone's, so that a customer behaves alike under both addresses.
    """
    wa_id = notation_of(phone)
    codes = (wa_id[:length] for length in range(_LONGEST_CODE, 0, -1))
    country = next((_COUNTRIES[code] for code in codes if code in _COUNTRIES), "ZZ")
    return f"{country}.{wa_id.translate(_TO_LETTERS)}{'z' * owner}{wa_id[-3:]}"


def first_phone_of(user_id: str) -> str | None:
    """The phone whose first owner has this id; None where the id is nobody's of ours."""
    phone = user_id[3:-3].translate(_TO_DIGITS)
    return phone if phone.isdigit() and user_id_of(phone) == user_id else None


class Customers:
    """Everybody, and what became of those who changed."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._phones: dict[str, str | None] = {}
        self._owners: dict[str, int] = {}

    def find(self, address: str) -> Addressee:
        """Whose a phone, in any notation, or an id is now."""
        if not address.isdigit():
            return Addressee(self._phone_of(address), address)
        wa_id = notation_of(address)
        return Addressee(wa_id, self._ids.get(wa_id) or user_id_of(wa_id))

    def change_number(self, old: str, new: str) -> tuple[Addressee, Addressee]:
        """The customer of phone `old` has `new` from now on, with another id (before, after).

        Whoever has the old phone next is somebody else and has an id of their own, as had whoever had the
        new one before.
        """
        before = self.find(old)
        for phone in (old, new):
            self._hand_over(notation_of(phone))
        return before, self.find(new)

    def change_user_id(self, old: str, new: str) -> tuple[Addressee, Addressee]:
        """The customer of id `old` has `new` from now on, and the phone as before (before, after)."""
        before = self.find(old)
        self._phones[old] = None
        if before.wa_id is not None:
            self._name(before.wa_id, new)
        return before, Addressee(before.wa_id, new)

    def _phone_of(self, user_id: str) -> str | None:
        return self._phones[user_id] if user_id in self._phones else first_phone_of(user_id)

    def _hand_over(self, phone: str) -> None:
        self._phones[self.find(phone).user_id] = None
        self._owners[phone] = self._owners.get(phone, 0) + 1
        self._name(phone, user_id_of(phone, self._owners[phone]))

    def _name(self, phone: str, user_id: str) -> None:
        self._ids[phone] = user_id
        self._phones[user_id] = phone
