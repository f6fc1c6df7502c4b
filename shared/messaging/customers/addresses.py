"""A customer's address in the forms people type, and the name under which the audit log knows them.

Owns both. What an address is, is `CustomerId`'s; what is stored of a customer stands elsewhere.
"""

import hashlib
import re
from typing import Final

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


def audit_subjects(name: str) -> list[str]:
    """Under which names it may stand in the audit log: as it is, and hashed where it may be a customer."""
    address = read_address(name)
    return [name] if address is None else [name, audit_subject(address)]
