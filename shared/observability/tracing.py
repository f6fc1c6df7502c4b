"""The trace that a message belongs to, carried from message to message.

Owns reading and making it: AMQP's `correlation_id` and the W3C header `traceparent`
(https://www.w3.org/TR/trace-context/). Spans are `shared.observability.spans`.
"""

import hashlib
import re
from typing import Final
from uuid import UUID

from shared.ids import random_hex
from shared.values import value

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_W3C_ID: Final = re.compile(r"[0-9a-f]{32}")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_CORRELATION_ID_CHARACTERS: Final = 100
#: Of AMQP's property.
_SHORT_STRING_BYTES: Final = 255


@value()
class Trace:
    """`trace_id` is the correlation id and what logs show; `w3c_id` is the 32 hex digits of `traceparent`.

    `span_id`: the span in which its publisher made the message, where `traceparent` told.
    """

    trace_id: str
    w3c_id: str
    flags: str = "01"
    span_id: str | None = None

    def traceparent(self) -> str:
        """The header for one publication: the same trace, a new span."""
        return f"00-{self.w3c_id}-{random_hex(8)}-{self.flags}"


def read_trace(correlation_id: str | None, traceparent: object = None, seed: bytes = b"") -> Trace:
    """The trace of a message: its correlation id, else its `traceparent`'s id, else one from `seed`, if any.

    Never fails: what is malformed counts as absent. The same correlation id always gives the same W3C id, and
    the same seed the same trace; without any of them it is a new one.
    """
    w3c_id, span_id, flags = _parse(traceparent)
    trace_id = _usable(correlation_id) or w3c_id or (_digest(seed) if seed else random_hex(16))
    return Trace(trace_id=trace_id, w3c_id=w3c_id or _derive(trace_id), flags=flags, span_id=span_id)


def trace_key(trace_id: str) -> UUID:
    """The W3C id of a trace id, by which a message's row is found: 16 bytes, whatever the trace id."""
    return UUID(_derive(trace_id))


def _parse(traceparent: object) -> tuple[str | None, str | None, str]:
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if match is None:
        return None, None, "01"
    version, w3c_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or w3c_id == _NO_TRACE or span_id == _NO_SPAN:
        return None, None, "01"
    return w3c_id, span_id, flags if version == "00" else "01"


def _usable(correlation_id: str | None) -> str | None:
    if not correlation_id or len(correlation_id) > _CORRELATION_ID_CHARACTERS:
        return None
    if not correlation_id.isascii() and len(correlation_id.encode("utf-8", "replace")) > _SHORT_STRING_BYTES:
        return None
    return correlation_id if correlation_id.isprintable() else None


def _derive(trace_id: str) -> str:
    digits = trace_id.replace("-", "").lower()
    if _W3C_ID.fullmatch(digits) and digits != _NO_TRACE:
        return digits
    return _digest(trace_id.encode("utf-8", "replace"))


def _digest(seed: bytes) -> str:
    return hashlib.blake2b(seed, digest_size=16).hexdigest()
