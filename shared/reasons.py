"""Why a message is dead: the fixed vocabulary of `x-wabus-reason`, `dead_letter_queue.reason` and metrics.

Owns the names; what leads to each is decided by the workers.
"""

from enum import StrEnum
from typing import Final


class DeadReason(StrEnum):
    """Reason of a dead letter. `LOCK_TIMEOUT` and `DATABASE_ERROR` replay by themselves, the rest waits."""

    #: PostgreSQL's lock or deadlock errors outlived the counted retries.
    LOCK_TIMEOUT = "lock_timeout"
    #: No mapping, conversation or wamid of that name appeared within the retries.
    MAPPING_NOT_FOUND = "mapping_not_found"
    #: The body cannot be decoded, or a field breaks its rule.
    INVALID_PAYLOAD = "invalid_payload"
    #: The message contradicts what is stored: a status that can never apply, an id with other content.
    STATE_VIOLATION = "state_violation"
    #: The conversation addressed has expired and has no active mapping.
    MAPPING_STATUS_EXPIRED = "mapping_status_expired"
    #: The conversation addressed was closed and has no active mapping.
    MAPPING_STATUS_CLOSED = "mapping_status_closed"
    #: The message's own statement fails though the server is well.
    DATABASE_ERROR = "database_error"
    #: A media URL is not http(s), not public, or its host is not allowed.
    INVALID_MEDIA_URL = "invalid_media_url"
    #: The Cloud API refused the message for good.
    SEND_REJECTED = "send_rejected"
    #: Nobody knows whether the Cloud API took the message, and it must not be sent twice.
    SEND_AMBIGUOUS = "send_ambiguous"
    #: A transient failure outlived the counted retries.
    MAX_RETRIES_EXCEEDED = "max_retries_exceeded"
    #: The message's `expires_at` passed before it was sent.
    EXPIRED = "expired"
    #: No queue is bound for the message's routing key.
    UNROUTED = "unrouted"
    #: The broker delivered the message too often without an acknowledgement.
    DELIVERY_LIMIT = "delivery_limit"
    #: An error that no rule foresees.
    UNEXPECTED_ERROR = "unexpected_error"


#: What the cluster tries again by itself, so many times.
AUTOMATIC: Final = frozenset({DeadReason.LOCK_TIMEOUT, DeadReason.DATABASE_ERROR})
