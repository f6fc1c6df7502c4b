"""Status events and what they make of a message: the only writer of `message_tracking.status`.

Owns `status_events`, the milestones and errors of `message_tracking`, the outcome of attempts as far as a
status or an answer tells it, and the events that follow from them. `graph_errors` says what an error of the
platform means, `scopes` for whom: a campaign's pause begins there.
Who calls: the updater with what the platforms report, the sender with its own word, the scheduler with what
waited, the dlq-handler with what died. The rules of the states themselves are in `states`.
"""

from shared.messaging.messages.rejected import describe_rejection, rejection_key
from shared.messaging.messages.tracker import Tracker
from shared.messaging.messages.values import (
    OWN_SOURCE,
    STATUS_RETRY,
    STATUS_RETRY_REASON,
    EventKey,
    OwnEvent,
    Recorded,
    StatusEvent,
    StoredEvent,
    callback_data,
    event_of,
    read_callback_data,
)

__all__ = [
    "OWN_SOURCE",
    "STATUS_RETRY",
    "STATUS_RETRY_REASON",
    "EventKey",
    "OwnEvent",
    "Recorded",
    "StatusEvent",
    "StoredEvent",
    "Tracker",
    "callback_data",
    "describe_rejection",
    "event_of",
    "read_callback_data",
    "rejection_key",
]
