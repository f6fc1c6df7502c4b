"""Log lines: one JSON object each, or one readable line on a terminal.

Owns the fields, their formats and what must never appear (secrets, URL credentials, addresses in clear unless
LOG_PII). Callers owe one thing: never pass a message's text. Usage:

    logger = get_logger(__name__)
    logger.info("mapping opened", extra=fields(operation=Operation.INBOUND_IDENTITY_RESOLUTION, wamid=wamid))
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO
from uuid import UUID

import orjson

from shared.ids import random_hex
from shared.masking import escape_controls, mask_address, mask_secrets
from shared.observability.errors import describe_error, list_frames
from shared.settings.settings import LogFormat, Settings

#: Packages whose loggers follow LOG_LEVEL; all others speak from WARN on.
OUR_PACKAGES: Final = ("shared", "workers", "deploy", "schema")

_LEVELS: Final = {logging.WARNING: "WARN"}
_TEXT_CHARACTERS: Final = 2000
#: What is masked before the rest is cut: masking takes the square of a length.
_MASKED_CHARACTERS: Final = 2 * _TEXT_CHARACTERS

Scalar = str | int | float | bool | None


class Operation(StrEnum):
    """What a line is about: the fixed list of the field `operation`."""

    STARTUP = "startup"
    SHUTDOWN = "shutdown"
    CONSUMING = "consuming"
    PUBLISHING = "publishing"
    TOPOLOGY = "topology"
    MIGRATION = "migration"
    HEALTH = "health"
    LOCKING = "locking"
    CACHING = "caching"
    RATE_LIMITING = "rate_limiting"
    CIRCUIT_BREAKING = "circuit_breaking"
    INBOUND_IDENTITY_RESOLUTION = "inbound_identity_resolution"
    CONVERSATION_CORRELATION = "conversation_correlation"
    CONVERSATION_CLOSING = "conversation_closing"
    CONVERSATION_EXPIRY = "conversation_expiry"
    OUTBOUND_RESOLUTION = "outbound_resolution"
    OUTBOUND_SEND = "outbound_send"
    SEND_RECONCILIATION = "send_reconciliation"
    NUMBER_CONTROL = "number_control"
    STATUS_UPDATE = "status_update"
    STATUS_MATCHING = "status_matching"
    CAMPAIGN_CONTROL = "campaign_control"
    CAMPAIGN_BATCH = "campaign_batch"
    DEAD_LETTER_STORING = "dead_letter_storing"
    DEAD_LETTER_REPLAY = "dead_letter_replay"
    DEFERRED_RELEASE = "deferred_release"
    UNMARKED_PUBLICATION = "unmarked_publication"
    RETENTION = "retention"
    SCHEDULING = "scheduling"
    PROFILE_ERASURE = "profile_erasure"
    TRACING = "tracing"
    LIBRARY = "library"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module (`__name__`)."""
    return logging.getLogger(name)


def fields(
    *,
    operation: Operation,
    trace_id: str | None = None,
    wa_id: str | None = None,
    wamid: str | None = None,
    mapping_id: UUID | str | None = None,
    conversation_id: str | None = None,
    phone_number_id: str | None = None,
    message_id: UUID | str | None = None,
    lane: str | None = None,
    attempt: int | None = None,
    outcome: str | None = None,
    code: str | None = None,
    dead_letter_id: UUID | str | None = None,
    cache_hit: bool | None = None,
    is_new_conversation: bool | None = None,
    duration_ms: float | None = None,
) -> dict[str, dict[str, Scalar]]:
    """The `extra` of one line; None is left out. `wa_id` comes in clear and is masked when written.

    `message_id` is ours; `attempt` that of the send, or of the delivery where no send is meant; `code` the
    platform's, or our reason.
    """
    values: dict[str, Scalar] = {
        "operation": operation.value,
        "trace_id": trace_id,
        "wa_id": wa_id,
        "wamid": wamid,
        "mapping_id": None if mapping_id is None else str(mapping_id),
        "conversation_id": conversation_id,
        "phone_number_id": phone_number_id,
        "message_id": None if message_id is None else str(message_id),
        "lane": lane,
        "attempt": attempt,
        "outcome": outcome,
        "code": code,
        "dead_letter_id": None if dead_letter_id is None else str(dead_letter_id),
        "cache_hit": cache_hit,
        "is_new_conversation": is_new_conversation,
        "duration_ms": None if duration_ms is None else round(duration_ms, 3),
    }
    return {"wabus": {name: value for name, value in values.items() if value is not None}}


def configure_logging(settings: Settings, worker: str, stream: TextIO | None = None) -> None:
    """Sends every logger of this process to `stream` (default: stderr), in the format that settings decide.

    May be called again: the last call counts.
    """
    stream = sys.stderr if stream is None else stream
    form = settings.log_format or (LogFormat.CONSOLE if stream.isatty() else LogFormat.JSON)
    formatter = JsonFormatter if form is LogFormat.JSON else ConsoleFormatter
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(worker, show_addresses=settings.log_pii))
    level = logging.getLevelNamesMapping()[settings.log_level]
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(level, logging.WARNING))
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(level)


class _Formatter(logging.Formatter):
    """Collects the fields of a record, in the order in which they are written, safe to show.

    A line that is about no message has the trace id of this run of the process.
    """

    def __init__(self, worker: str, *, show_addresses: bool) -> None:
        super().__init__()
        self._worker = worker
        self._run_id = random_hex(16)
        self._show_addresses = show_addresses

    def collect(self, record: logging.LogRecord) -> dict[str, object]:
        line: dict[str, object] = {
            "timestamp": _iso(record.created),
            "level": _LEVELS.get(record.levelno, record.levelname),
            "service": "wabus",
            "worker": self._worker,
            "operation": Operation.LIBRARY.value,
            "message": _safe(_message_of(record)),
            "trace_id": self._run_id,
        }
        given: dict[str, Scalar] = getattr(record, "wabus", {})
        for name, value in given.items():
            line[name] = self._show(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _safe(describe_error(record.exc_info[1]))
            line["stack"] = list_frames(record.exc_info[1])
        return line

    def _show(self, name: str, value: Scalar) -> Scalar:
        if not isinstance(value, str):
            return value
        if name == "wa_id":
            return value if self._show_addresses else mask_address(value)
        return _safe(value)


class JsonFormatter(_Formatter):
    """One JSON object a line; JSON's own escapes keep injected newlines inside their string."""

    def format(self, record: logging.LogRecord) -> str:
        line = orjson.dumps(self.collect(record)).decode()
        # what JSON may leave as it is, and a terminal obeys: C1 controls, line separators, reversed text
        return (
            line
            if line.isprintable()
            else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        )


class ConsoleFormatter(_Formatter):
    """`12:30:01 INFO  worker operation: message  name=value …`, one line, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        line = self.collect(record)
        time = str(line.pop("timestamp"))[11:19]
        level, operation, message = line.pop("level"), line.pop("operation"), line.pop("message")
        worker, _ = line.pop("worker"), line.pop("service")
        if line["trace_id"] == self._run_id:
            del line["trace_id"]
        stack = line.pop("stack", [])
        rest = "".join(f"  {name}={value}" for name, value in line.items())
        frames = (
            "".join(f"\n    {escape_controls(frame)}" for frame in stack) if isinstance(stack, list) else ""
        )
        return escape_controls(f"{time} {level:<5} {worker} {operation}: {message}{rest}") + frames


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"(arguments do not fit) {record.msg}"


def _safe(text: str) -> str:
    text = mask_secrets(text[:_MASKED_CHARACTERS])
    if len(text) > _TEXT_CHARACTERS:
        text = f"{text[:_TEXT_CHARACTERS]}…"
    return text.encode("utf-8", "backslashreplace").decode()  # lone surrogates are no JSON


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
