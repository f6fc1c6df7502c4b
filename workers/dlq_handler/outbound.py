"""What a dead letter means for the outbound message in it.

Owns the decision and the event `outbound.failed`: every accepted message ends in `outbound.sent` or
`outbound.failed`, wherever it dies, and fails only when no attempt of it can still succeed. What the cluster
will try again by itself has not failed yet.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Self
from uuid import UUID

import orjson

from shared.amqp.topology import LANES, OUTBOUND
from shared.deadletters.storing import DeadLetter, clean_text
from shared.messaging.messages import STATUS_RETRY
from shared.messaging.messages.states import MessageStatus
from shared.payloads import EnrichedOutboundMessage, InvalidPayload, OutboundMessage, SendError, decode
from shared.payloads.clock import CLOCK
from shared.reasons import DeadReason

_IDS: Final = (
    "conversation_id",
    "wa_id",
    "phone_number_id",
    "genesys_message_id",
    "client_message_id",
    "campaign_id",
)
#: States of a message that a delivery may still send: a retry that a status asked for has one more.
_UNDER_WAY: Final = {
    False: frozenset({MessageStatus.QUEUED}),
    True: frozenset({MessageStatus.QUEUED, MessageStatus.SENT}),
}
#: Deaths of a copy that a gateway published beside the message itself.
_OF_COPIES: Final = frozenset({DeadReason.STATE_VIOLATION, DeadReason.UNROUTED})


class DeathConsequence(Enum):
    """What is to be done about the message of a dead letter."""

    #: Nothing: it ended already, was sent, or is another message than the one that died.
    LEAVE = auto()
    #: It fails: it was queued, and no attempt can still succeed.
    FAIL = auto()
    #: Whether it was sent must be found out first: the scheduler reconciles it.
    RECONCILE = auto()
    #: It never became a row: its failure is told with what ids its body has.
    TELL = auto()
    #: It goes back by itself: its failure is told when the last try is over, or somebody dismisses it.
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class DeadOutbound:
    """An outbound message in a dead letter, as far as its body says. `content_hash` None: it is invalid.

    `goes_back`: the cluster will try it again by itself. `is_told`: an earlier death of it was told.
    """

    letter: DeadLetter
    ids: dict[str, str]
    extra: dict[str, Any]
    content_hash: bytes | None
    goes_back: bool = False
    is_told: bool = False

    @classmethod
    def read(cls, letter: DeadLetter, *, goes_back: bool = False, is_told: bool = False) -> Self | None:
        """None where the dead letter is none of an outbound message."""
        unrouted = letter.reason is DeadReason.UNROUTED and letter.exchange == OUTBOUND
        if letter.source_queue not in LANES and not unrouted:
            return None
        if letter.opaque:
            return cls(letter, {}, {}, None, goes_back, is_told)
        try:
            message = decode(OutboundMessage, letter.raw_body)
        except InvalidPayload:
            return cls(letter, _ids_of(letter.raw_body), {}, None, goes_back, is_told)
        ids = {name: value for name in _IDS if (value := getattr(message, name)) is not None}
        unknown = {
            name: value
            for name, value in (message.model_extra or {}).items()
            if name not in EnrichedOutboundMessage.model_fields
        }
        extra = {**unknown, "metadata": message.metadata}
        return cls(letter, ids, extra, message.content_hash(), goes_back, is_told)


@dataclass(frozen=True, slots=True)
class TrackedMessage:
    """The row of an outbound message. `undecided`: an attempt is open or ambiguous, or succeeded."""

    id: UUID
    status: str
    content_hash: bytes | None
    undecided: bool


def decide(dead: DeadOutbound, message: TrackedMessage | None) -> DeathConsequence:
    """What this death does to the message, whose row is `message`."""
    letter = dead.letter
    if message is None:
        if dead.is_told:
            return DeathConsequence.LEAVE
        return DeathConsequence.WAIT if dead.goes_back else DeathConsequence.TELL
    if _is_rewritten(dead, message):
        return DeathConsequence.FAIL
    if letter.reason in _OF_COPIES or not _is_same(dead, message):
        return DeathConsequence.LEAVE
    if message.status not in _UNDER_WAY[STATUS_RETRY in letter.headers]:
        return DeathConsequence.LEAVE
    if message.undecided:
        return DeathConsequence.RECONCILE
    return DeathConsequence.WAIT if dead.goes_back else DeathConsequence.FAIL


def failed_event(dead: DeadOutbound, customer: str | None) -> EnrichedOutboundMessage:
    """`outbound.failed` of a message that never became a row; `customer`: whose its address is."""
    letter = dead.letter
    values = {
        **dead.extra,
        **dead.ids,
        "customer": customer,
        "timestamp": CLOCK.now(),
        "error": SendError(code=letter.reason.value, message=clean_text(letter.error_message)),
        "trace_id": letter.correlation_id,
    }
    return EnrichedOutboundMessage.model_construct(**values)


def _is_same(dead: DeadOutbound, message: TrackedMessage) -> bool:
    """Whether the row is this message's, not that of another one with the same id."""
    if dead.letter.message_id is not None:
        return True
    return dead.content_hash is not None and message.content_hash in (None, dead.content_hash)


def _is_rewritten(dead: DeadOutbound, message: TrackedMessage) -> bool:
    """Whether a campaign asked for this message again with other content, after an attempt that failed.

    Nobody else speaks under that id, so nobody else will send what is left of it.
    """
    own = f"campaign:{dead.ids.get('campaign_id')}:{dead.ids.get('wa_id')}"
    return (
        dead.letter.reason is DeadReason.STATE_VIOLATION
        and dead.ids.get("client_message_id") == own
        and message.status == MessageStatus.QUEUED
        and not message.undecided
    )


def _ids_of(body: bytes) -> dict[str, str]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(value, dict):
        return {}
    texts = {name: value[name] for name in _IDS if isinstance(value.get(name), str)}
    return {name: clean_text(text)[:300] for name, text in texts.items() if text}
