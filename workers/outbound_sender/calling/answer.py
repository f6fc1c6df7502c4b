"""What one request to the Cloud API came to. Pure: from status, headers and bytes to one of six answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

import orjson

from shared.masking import mask_secrets
from shared.messaging.messages.graph_errors import ErrorClass, classify, describe_error, one_line, read_code

_WAMID_CHARACTERS: Final = 255
_STATUS_CHARACTERS: Final = 100
#: Of a page that is not the platform's answer.
_PAGE_CHARACTERS: Final = 200
_LONGEST_RETRY_AFTER_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The platform took the message. `message_status`: that it holds it yet, and why (None: it does not).

    `wa_id`, `user_id`: what it calls the customer, as it came.
    """

    wamid: str
    http_status: int
    message_status: str | None = None
    wa_id: object = None
    user_id: object = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not. `http_status` is None where nothing was asked.

    `page`: how an answer begins that is not the platform's; it may repeat the message, so no log takes it.
    """

    error_class: ErrorClass
    code: str
    text: str
    http_status: int | None = None
    retry_after_s: float | None = None
    page: str = ""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Not one byte was sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Unable:
    """Not one byte was sent, for a reason of this process or its machine: no file, port or name to be had."""

    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request went out, and nobody knows what became of it. `page` as in `Refused`."""

    text: str
    http_status: int | None = None
    page: str = ""


@dataclass(frozen=True, slots=True)
class TooLate:
    """Given up before the first byte: its claim was too old."""


Answer: TypeAlias = Accepted | Refused | Unreachable | Unable | Lost | TooLate


def read_answer(http_status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused | Lost:
    """The answer that these bytes are, whatever the HTTP status says; what cannot be read is lost."""
    content = _decode(body)
    is_success = 200 <= http_status < 300
    if is_success and (accepted := _read_acceptance(content, http_status)):
        return accepted
    error = content.get("error")
    error = error if isinstance(error, dict) else {}
    code = read_code(error.get("code"))
    if code is None and is_success:
        return Lost("an answer without a wamid", http_status, _page(body))
    error_class = classify(
        http_status,
        code,
        subcode=read_code(error.get("error_subcode")),
        is_transient=error.get("is_transient") is True,
    )
    text = (
        describe_error(error) if code is not None else f"HTTP {http_status} without an error of the platform"
    )
    page = _page(body) if code is None else ""
    if error_class is ErrorClass.AMBIGUOUS:
        return Lost(text or f"HTTP {http_status}", http_status, page)
    label = f"http_{http_status}" if code is None else str(code)
    return Refused(error_class, label, text or f"error {label}", http_status, _retry_after_s(headers), page)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _read_acceptance(content: Mapping[str, Any], http_status: int) -> Accepted | None:
    match content.get("messages"):
        case [{"id": str(wamid), **more}, *_] if 0 < len(wamid) <= _WAMID_CHARACTERS and "\0" not in wamid:
            named = _contact(content.get("contacts"))
            return Accepted(
                wamid,
                http_status,
                _message_status(more.get("message_status")),
                named.get("wa_id"),
                named.get("user_id"),
            )
        case _:
            return None


def _contact(contacts: object) -> Mapping[str, Any]:
    """The one customer of the message."""
    match contacts:
        case [dict() as contact]:
            return contact
        case _:
            return {}


def _message_status(value: object) -> str | None:
    """What the platform does with a message before it sends it; that it accepted it is nothing to tell."""
    if not isinstance(value, str) or value in ("", "accepted"):
        return None
    return one_line(value)[:_STATUS_CHARACTERS]


def _page(body: bytes) -> str:
    """How it begins, on one line, masked."""
    begin = body[: 4 * _PAGE_CHARACTERS].decode(errors="replace")
    return mask_secrets(" ".join(one_line(begin).split()))[:_PAGE_CHARACTERS]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a time that is compared with the answer's own Date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER_S)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(0.0, wait.total_seconds()), _LONGEST_RETRY_AFTER_S)
