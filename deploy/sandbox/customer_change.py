"""What the platform tells a business when a customer changes number or id: a system message.

Owns what a tester may ask for, and the message in the platform's own shape. Who the customer is before and
after is `customers`'.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from deploy.sandbox.customers import Addressee, Customers
from deploy.sandbox.ledger import make_wamid

_Phone = Annotated[str, Field(pattern=r"^[1-9][0-9]{4,14}$")]
_UserId = Annotated[str, Field(pattern=r"^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$")]


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """One system message to one business number (None: to whichever hears). `occurred_at`: epoch seconds."""

    before: Addressee
    after: Addressee
    phone_number_id: str | None
    wamid: str
    occurred_at: int

    @property
    def message(self) -> dict[str, Any]:
        """The platform's message object. Where phones are hidden, a change of number is one of id."""
        if self.after.wa_id in (None, self.before.wa_id):
            kind, old, new = "user_changed_user_id", self.before.user_id, self.after.user_id
        else:
            kind, old, new = "user_changed_number", str(self.before.wa_id), self.after.wa_id
        return self.before.describe("from", "from_user_id") | {
            "id": self.wamid,
            "timestamp": str(self.occurred_at),
            "type": "system",
            "system": {"type": kind, "body": f"User changed from {old} to {new}"}
            | self.after.describe("wa_id", "user_id"),
        }


class ChangeOfNumber(BaseModel):
    """The customer of one phone has another from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old: _Phone = Field(alias="from")
    new: _Phone = Field(alias="to")
    phone_number_id: str | None = None

    def happen(self, customers: Customers) -> tuple[Addressee, Addressee]:
        return customers.change_number(self.old, self.new)


class ChangeOfUserId(BaseModel):
    """The customer of one business-scoped id has another from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old: _UserId = Field(alias="from_user_id")
    new: _UserId = Field(alias="to_user_id")
    phone_number_id: str | None = None

    def happen(self, customers: Customers) -> tuple[Addressee, Addressee]:
        return customers.change_user_id(self.old, self.new)


def parse_change(body: dict[str, Any]) -> ChangeOfNumber | ChangeOfUserId:
    """The change that a tester asks for. Raises `pydantic.ValidationError`."""
    asked = ChangeOfUserId if {"from_user_id", "to_user_id"} & body.keys() else ChangeOfNumber
    return asked.model_validate(body)


def make_change(
    change: ChangeOfNumber | ChangeOfUserId, customers: Customers, *, hide_phones: bool
) -> CustomerChange:
    """Lets it happen; what there is to tell of it."""
    before, after = change.happen(customers)
    if hide_phones:
        before, after = Addressee(None, before.user_id), Addressee(None, after.user_id)
    return CustomerChange(before, after, change.phone_number_id, make_wamid(change.old), int(time.time()))
