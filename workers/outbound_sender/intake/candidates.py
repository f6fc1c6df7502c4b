"""From deliveries to candidates: decoded, checked, repetitions within the batch folded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.amqp.delivery import ECHO, MESSAGE_ID, REPLAY_OF, Delivery
from shared.amqp.disposition import Dead
from shared.amqp.headers import carried_headers
from shared.amqp.topology import LANES
from shared.messaging.campaigns.rendering import flatten_parameters
from shared.messaging.messages import STATUS_RETRY
from shared.payloads import Decoded, InvalidPayload, OutboundMessage, check_text, read
from shared.reasons import DeadReason
from shared.settings.media_url import InvalidMediaUrl, check_media_url

#: Said of an id that came before with something else.
OTHER_CONTENT = Dead(
    DeadReason.STATE_VIOLATION,
    "genesys_message_id, client_message_id: known already with other content",
)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A message as it came, with every delivery of it in the batch, first come first.

    `mending`: what its row says of a body whose characters were replaced.
    """

    payload: OutboundMessage
    content_hash: bytes
    mending: dict[str, Any] | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def first(self) -> Delivery:
        return self.deliveries[0]

    @property
    def lane(self) -> str:
        return LANES[self.first.queue]

    @property
    def is_replay(self) -> bool:
        return is_replay(self.first)

    @property
    def replayed_message(self) -> UUID | None:
        """The failed message that a replay repeats, where its dead letter names it."""
        value = self.first.headers.get(MESSAGE_ID)
        try:
            return UUID(value) if self.is_replay and isinstance(value, str) else None
        except ValueError:
            return None

    @property
    def is_status_retry(self) -> bool:
        return STATUS_RETRY in self.first.headers

    @property
    def asks_for_echo(self) -> bool:
        """Whether its publisher wants to hear again how it ended. A retry of our own keeps the header."""
        return not self.is_status_retry and any(_has_echo(delivery) for delivery in self.deliveries)


@dataclass(frozen=True, slots=True)
class CandidateIntake:
    """What a batch holds: candidates in their order, deliveries that are none, and what was mended.

    `texts_flattened`: parameters of templates with blanks that the platform refuses.
    """

    candidates: list[Candidate]
    dead: list[tuple[Delivery, Dead]]
    characters_replaced: int
    fields_dropped: int
    texts_flattened: int


def is_replay(delivery: Delivery) -> bool:
    """Whether an operator sent this dead letter back."""
    return REPLAY_OF in delivery.headers


def _has_echo(delivery: Delivery) -> bool:
    """True, or the word: some clients write headers as texts only."""
    return str(delivery.headers.get(ECHO, "")).lower() == "true"


def take_in(batch: Sequence[Delivery], allowed_hosts: tuple[str, ...]) -> CandidateIntake:
    """Decode and check each delivery; a repetition joins its first copy, other content is dead."""
    candidates: list[Candidate] = []
    by_id: dict[tuple[str, ...], Candidate] = {}
    dead: list[tuple[Delivery, Dead]] = []
    characters = fields = flattened = 0
    for delivery in batch:
        decoded = _read(delivery, allowed_hosts)
        if isinstance(decoded, Dead):
            dead.append((delivery, decoded))
            continue
        payload, changed = _flatten(decoded.payload)
        characters, fields = characters + decoded.replaced, fields + len(decoded.dropped)
        flattened += changed
        ids = _ids(delivery, payload)
        candidate = Candidate(payload, decoded.payload.content_hash(), decoded.mending(delivery.body))
        earlier = next((by_id[key] for key in ids if key in by_id), candidate)
        if earlier.content_hash != candidate.content_hash:
            dead.append((delivery, OTHER_CONTENT))
            continue
        if earlier is candidate:
            candidates.append(candidate)
        earlier.deliveries.append(delivery)
        by_id |= dict.fromkeys(ids, earlier)
    return CandidateIntake(candidates, dead, characters, fields, flattened)


def _read(delivery: Delivery, allowed_hosts: tuple[str, ...]) -> Decoded[OutboundMessage] | Dead:
    try:
        decoded = read(OutboundMessage, delivery.body)
        check_text("headers", carried_headers(delivery))
        if decoded.payload.media_url is not None:
            check_media_url(decoded.payload.media_url, allowed_hosts)
    except InvalidPayload as error:
        return Dead(DeadReason.INVALID_PAYLOAD, str(error))
    except InvalidMediaUrl as error:
        return Dead(DeadReason.INVALID_MEDIA_URL, str(error))
    return decoded


def _flatten(payload: OutboundMessage) -> tuple[OutboundMessage, int]:
    if payload.template is None:
        return payload, 0
    template, changed = flatten_parameters(payload.template)
    return (payload.model_copy(update={"template": template}) if changed else payload), changed


def _ids(delivery: Delivery, payload: OutboundMessage) -> list[tuple[str, ...]]:
    """Under what a repetition is known. A replay repeats its failed self and is another message."""
    replay = str(delivery.headers.get(REPLAY_OF, ""))
    retry = str(delivery.headers.get(STATUS_RETRY, ""))
    named = (("genesys", payload.genesys_message_id), ("client", payload.client_message_id))
    return [(kind, value, replay, retry) for kind, value in named if value is not None]
