"""Errors of the WhatsApp Cloud API: one table from code to class, and the class and text of any error.

Owns the classes and what each asks of the cluster; sender and status updater carry out the same. The table
follows the Cloud API's error codes; texts and titles are never judged by, they change. The same code may come
as the answer to a send, later with a status, or both.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class ErrorClass(StrEnum):
    """What is done about an error; also the label `error_class` of `wabus_sends_total`."""

    #: Passing fault of the platform. Retried, counted.
    TRANSIENT = "transient"
    #: The number, app or account sends too fast. The number slows down, Retry-After honoured; not counted.
    RATE = "rate"
    #: Too many messages to one customer. Only that customer waits, 4^n s; not counted.
    PAIR = "pair"
    #: Spam or policy limit. The number's marketing is held for an hour, alert; a few times.
    SPAM = "spam"
    #: Token, permission, payment, account, or the number is gone. The number is paused, alert; its messages
    #: are deferred.
    AUTH = "auth"
    #: The template is missing, paused or refused. The campaign is paused, its recipient pending again.
    TEMPLATE = "template"
    #: A value or a parameter does not fit. Of one recipient, or of all: decided by evidence, see
    #: `shared.messaging.messages.scopes`.
    PARAMETER = "parameter"
    #: The customer service window is closed. Failed.
    WINDOW = "window"
    #: This customer cannot be reached with this message. Failed.
    UNDELIVERABLE = "undeliverable"
    #: It goes to phones only, and went to a business-scoped id. Sent again to a phone of the customer's;
    #: failed where none is known.
    PHONE_NEEDED = "phone_needed"
    #: The customer opted out of marketing. Failed, recorded; no marketing from then on.
    OPTED_OUT = "opted_out"
    #: The platform withholds marketing from this customer for now (cap, experiment). Failed.
    WITHHELD = "withheld"
    #: The request itself is wrong. Failed.
    INVALID = "invalid"
    #: A proxy, a firewall or a login page answered in the platform's place: no verdict on the message, which
    #: waits, uncounted, for a day. Counts for the breaker.
    NOT_PLATFORM = "not_platform"
    #: The medium could not be fetched or stored. Retried, counted, at most 3 times; then failed.
    MEDIA = "media"
    #: Nobody knows whether the message was taken. Reconciled with the statuses before anything else.
    AMBIGUOUS = "ambiguous"
    #: An error that this table does not know, with a status that calls it ours. Failed, with code and text.
    UNKNOWN = "unknown"


#: Classes after which no attempt of the message can succeed: `failed`, dead as `send_rejected`.
PERMANENT: Final = frozenset(
    {
        ErrorClass.WINDOW,
        ErrorClass.UNDELIVERABLE,
        ErrorClass.OPTED_OUT,
        ErrorClass.WITHHELD,
        ErrorClass.INVALID,
        ErrorClass.UNKNOWN,
    }
)

_CODES: Final[Mapping[ErrorClass, tuple[int, ...]]] = MappingProxyType(
    {
        ErrorClass.TRANSIENT: (1, 2, 131000, 131016, 131057, 132069, 135000),
        ErrorClass.RATE: (4, 613, 80007, 130429, 133016, 138013),
        ErrorClass.PAIR: (131056,),
        ErrorClass.SPAM: (131048, 131064),
        ErrorClass.AUTH: (
            *(0, 3, 10, 190, *range(200, 300), 131005),  # token and permissions
            *(33, 368, 131031, 131037, 131042, 131044, 131045, 133010),  # account and number
        ),
        ErrorClass.TEMPLATE: (132001, 132007, 132008, 132015, 132016, 131063),
        ErrorClass.PARAMETER: (100, 131008, 131009, 132000, 132005, 132012, 132018),
        ErrorClass.WINDOW: (131047,),
        ErrorClass.UNDELIVERABLE: (130497, 131021, 131026, 131030, 137000),
        ErrorClass.PHONE_NEEDED: (131062,),
        ErrorClass.OPTED_OUT: (131050,),
        ErrorClass.WITHHELD: (130472, 131049),
        ErrorClass.INVALID: (131051, 132068),
        ErrorClass.MEDIA: (131052, 131053),
    }
)

#: Every code we know.
CLASS_OF_CODE: Final[Mapping[int, ErrorClass]] = MappingProxyType(
    {code: error_class for error_class, codes in _CODES.items() for code in codes}
)


#: Codes that mean something else with this `error_subcode`: the number was deleted or moved, or the token
#: does not have it.
CLASS_OF_SUBCODE: Final[Mapping[tuple[int, int], ErrorClass]] = MappingProxyType({(100, 33): ErrorClass.AUTH})

_CODE_TEXT: Final = re.compile(r"([0-9]{1,9})(?:\.0*)?")
_TEXT_CHARACTERS: Final = 500


def classify(
    http_status: int | None, code: int | None, *, subcode: int | None = None, is_transient: bool = False
) -> ErrorClass:
    """Class of an error answer, or of an error that a status reports (`http_status` None).

    `code` is None where the answer holds no Graph error. The code decides, its subcode with it, then the HTTP
    status. A gateway's 502 or 504 hides what became of the request: what would be retried is ambiguous then.
    A 2xx without a Graph error and without a wamid counts as an answer that cannot be read.
    """
    if code is None:
        return _classify_status(http_status)
    known = (
        (None if subcode is None else CLASS_OF_SUBCODE.get((code, subcode)))
        or CLASS_OF_CODE.get(code)
        or _classify_unknown_code(http_status, is_transient)
    )
    if known is ErrorClass.TRANSIENT and http_status in (502, 504):
        return ErrorClass.AMBIGUOUS
    return known


def read_code(value: object) -> int | None:
    """A code as it came: an integer, `131026.0` or `"131026"`. None for anything else; a boolean is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        match = _CODE_TEXT.fullmatch(value.strip())
        return None if match is None else int(match[1])
    return value if isinstance(value, int) else None


def describe_error(error: Mapping[str, Any]) -> str:
    """What a person reads of an error: its details, else its message, else its title; one line, bounded.

    Details are the platform's `error_data.details`, or `details` as a gateway flattened them. Empty where the
    error says nothing.
    """
    said = (
        _details(error.get("error_data")),
        _details(error.get("details")),
        *(error.get(name) for name in ("message", "title", "error_user_msg", "error_user_title")),
    )
    text = next((part for part in said if isinstance(part, str) and part.strip()), "")
    return one_line(text)[:_TEXT_CHARACTERS]


def one_line(text: str) -> str:
    """`text` in one line that PostgreSQL and a terminal take."""
    return "".join(c if c.isprintable() else " " for c in text)


def _details(value: object) -> object:
    return value.get("details") if isinstance(value, Mapping) else value


def _classify_unknown_code(http_status: int | None, is_transient: bool) -> ErrorClass:
    if is_transient or (http_status is not None and http_status >= 500):
        return ErrorClass.TRANSIENT
    match http_status:
        case 401:
            return ErrorClass.AUTH
        case 429:
            return ErrorClass.RATE
        case _:
            return ErrorClass.UNKNOWN


def _classify_status(http_status: int | None) -> ErrorClass:
    """An answer without a Graph error comes from whatever stands before the API.

    A 4xx proves that nothing was accepted. A 5xx may come after the platform took the message.
    """
    match http_status:
        case 429:
            return ErrorClass.RATE
        case int() if 400 <= http_status < 500:
            return ErrorClass.NOT_PLATFORM
        case None:
            return ErrorClass.UNKNOWN
        case _:
            return ErrorClass.AMBIGUOUS
