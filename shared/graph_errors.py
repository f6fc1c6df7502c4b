"""Errors of the WhatsApp Cloud API: one table from code to class, and the class of any answer.

Owns the classes and what each asks of the sender; the sender carries it out. The table follows the Cloud
API's error codes; texts and titles are never looked at, they change. The same code may come as the answer to
a send, later with a status, or both.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ErrorClass(StrEnum):
    """What the sender does about an error; also the label `error_class` of `wabus_sends_total`."""

    #: Passing fault of the platform. Retried, counted.
    TRANSIENT = "transient"
    #: The number, app or account sends too fast. The number slows down, Retry-After honoured; not counted.
    RATE = "rate"
    #: Too many messages to one customer. Only that customer waits, 4^n s; not counted.
    PAIR = "pair"
    #: Spam or policy limit. The number's marketing is held for an hour or more, alert; not counted.
    SPAM = "spam"
    #: Token, permission, payment or account. The number is paused, alert; its messages are deferred.
    AUTH = "auth"
    #: The template is missing, paused or does not fit. The campaign is paused, its recipient pending again.
    TEMPLATE = "template"
    #: The customer service window is closed. Failed.
    WINDOW = "window"
    #: This customer cannot be reached with this message. Failed.
    UNDELIVERABLE = "undeliverable"
    #: The customer opted out of marketing. Failed, recorded; no marketing from then on.
    OPTED_OUT = "opted_out"
    #: The platform withholds marketing from this customer for now (cap, experiment). Failed.
    WITHHELD = "withheld"
    #: The request itself is wrong. Failed.
    INVALID = "invalid"
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
            *(368, 130497, 131031, 131037, 131042, 131044, 131045, 133010),  # account
        ),
        ErrorClass.TEMPLATE: (
            *(132000, 132001, 132005, 132007, 132008, 132012),
            *(132015, 132016, 131063),
        ),
        ErrorClass.WINDOW: (131047,),
        ErrorClass.UNDELIVERABLE: (131021, 131026, 131030, 131062, 137000),
        ErrorClass.OPTED_OUT: (131050,),
        ErrorClass.WITHHELD: (130472, 131049),
        ErrorClass.INVALID: (33, 100, 131008, 131009, 131051, 132068),
        ErrorClass.MEDIA: (131052, 131053),
    }
)

#: Every code we know.
CLASS_OF_CODE: Final[Mapping[int, ErrorClass]] = MappingProxyType(
    {code: error_class for error_class, codes in _CODES.items() for code in codes}
)


def classify(http_status: int | None, code: int | None, *, is_transient: bool = False) -> ErrorClass:
    """Class of an error answer, or of an error that a status reports (`http_status` None).

    `code` is None where the answer holds no Graph error. The code decides, then the HTTP status. A gateway's
    502 or 504 hides what became of the request: what would be retried is ambiguous then. A 2xx without a
    wamid counts as an answer that cannot be read.
    """
    if code is None:
        return _classify_status(http_status)
    known = CLASS_OF_CODE.get(code) or _classify_unknown_code(http_status, is_transient)
    if known is ErrorClass.TRANSIENT and http_status in (502, 504):
        return ErrorClass.AMBIGUOUS
    return known


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
    """An answer without a Graph error comes from whatever stands before the API."""
    match http_status:
        case 401:
            return ErrorClass.AUTH
        case 408:
            return ErrorClass.TRANSIENT
        case 429:
            return ErrorClass.RATE
        case int() if 400 <= http_status < 500:
            return ErrorClass.UNKNOWN
        case None:
            return ErrorClass.UNKNOWN
        case _:
            return ErrorClass.AMBIGUOUS
