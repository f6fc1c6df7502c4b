"""A phone as people type it into a shop's form, as an international number. Pure.

Owns the reading. What no numbering plan knows is nobody's number: the fact is kept, its customer is not told.
"""

import phonenumbers


def read_phone(phone: str, country: str | None) -> str | None:
    """Digits with the country code; None for what no plan knows. `country`: two letters, if none is typed."""
    text = f"+{phone.strip()[2:]}" if phone.strip().startswith("00") else phone
    try:
        number = phonenumbers.parse(text, None if country is None else country.upper())
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
