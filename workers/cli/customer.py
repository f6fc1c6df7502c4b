"""A customer's address on the command line, and the name under which the audit log knows them.

Owns the forms people type. What is stored of a customer is `message`'s and `profile`'s to read.
"""

import hashlib
import re
from typing import Final

import click
from pydantic import TypeAdapter, ValidationError

from shared.payloads.fields import CustomerId

_ADDRESS: Final[TypeAdapter[str]] = TypeAdapter(CustomerId)
#: What people put between the digits of a phone number.
_PUNCTUATION: Final = re.compile(r"[\s().\-/]+")
_SALT: Final = b"wabus audit log"


def read_address(text: str) -> str | None:
    """Digits of a phone number however it is written, or a business-scoped id as it is; else None."""
    for candidate in (text.strip(), _PUNCTUATION.sub("", text)):
        try:
            return _ADDRESS.validate_python(candidate)
        except ValidationError:
            continue
    return None


def audit_subject(address: str) -> str:
    """The same text for the same address, from which it cannot be told within reasonable cost.

    Phone numbers are few enough to try them all against a fast hash, hence a slow one (16 MiB, about 50 ms).
    """
    digest = hashlib.scrypt(address.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=16)
    return f"customer:{digest.hex()}"


class CustomerParam(click.ParamType[str]):
    """A phone number or a business-scoped user id."""

    name = "phone"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        address = read_address(value)
        if address is None:
            self.fail(f"{value!r} is neither a phone number nor a business-scoped id (CC.xxxx)", param, ctx)
        return address


phone_argument = click.argument("phone", type=CustomerParam())
