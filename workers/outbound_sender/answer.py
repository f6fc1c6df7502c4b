"""What one request to the Cloud API came to. Pure: from status, headers and bytes to one of five answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

import orjson

from shared.graph_errors import ErrorClass, classify

_TEXT_CHARACTERS: Final = 500
_WAMID_CHARACTERS: Final = 255
_LONGEST_RETRY_AFTER_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The platform took the message."""

    wamid: str
    http_status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not. `http_status` is None where nothing was asked."""

    error_class: ErrorClass
    code: str
    text: str
    http_status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Not one byte was sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request went out, and nobody knows what became of it."""

    text: str
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class TooLate:
    """Given up before the first byte: its claim was too old."""


Answer: TypeAlias = Accepted | Refused | Unreachable | Lost | TooLate


def read_answer(http_status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused | Lost:
    """The answer that these bytes are; what cannot be read is lost."""
    content = _decode(body)
    if 200 <= http_status < 300:
        wamid = _wamid(content)
        return Accepted(wamid, http_status) if wamid else Lost("an answer without a wamid", http_status)
    error = content.get("error")
    error = error if isinstance(error, dict) else {}
    code = _integer(error.get("code"))
    error_class = classify(http_status, code, is_transient=error.get("is_transient") is True)
    text = _text(error) or f"HTTP {http_status}"
    if error_class is ErrorClass.AMBIGUOUS:
        return Lost(text, http_status)
    label = f"http_{http_status}" if code is None else str(code)
    return Refused(error_class, label, text, http_status, _retry_after_s(headers))


def _decode(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _wamid(content: Mapping[str, Any]) -> str | None:
    match content.get("messages"):
        case [{"id": str(wamid)}, *_] if 0 < len(wamid) <= _WAMID_CHARACTERS and "\0" not in wamid:
            return wamid
        case _:
            return None


def _integer(value: object) -> int | None:
    """Codes are integers, now and then as text; a boolean is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(error: Mapping[str, Any]) -> str:
    """The error's message and details, in one line that PostgreSQL takes."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    said = [part for part in (error.get("message"), details) if isinstance(part, str) and part]
    line = "".join(c if c.isprintable() else " " for c in ": ".join(dict.fromkeys(said)))
    return line[:_TEXT_CHARACTERS]


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
