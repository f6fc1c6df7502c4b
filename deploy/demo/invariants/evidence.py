"""What a verdict is made from: what went in, what came out, and what is left, read when all is at rest.

Owns the values only. Who reads them, and from where, is the caller's: a demo, or a rig that injects faults.
Every `at` is epoch seconds of one machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InboundSent:
    """A valid inbound message whose publish was confirmed. `customer`: number and customer of its mapping.

    `stray`: the address that it came from, where nothing told yet that this is the customer's.
    """

    wamid: str
    customer: str
    at: float
    stray: str | None = None


@dataclass(frozen=True, slots=True)
class EnrichedSeen:
    """One delivery of `inbound.enriched`, as its consumer took it."""

    key: str
    wamid: str
    mapping_id: str
    is_new: bool
    at: float


@dataclass(frozen=True, slots=True)
class ReplySent:
    """An agent's reply. `is_refused`: the platform takes none to this customer."""

    genesys_message_id: str
    at: float
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedDeath:
    """A message that must end in the dead letters, known by its body."""

    what: str
    body: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Correlated:
    """What the agent platform said of a mapping."""

    mapping_id: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Outage:
    """From the kill of a worker until it was ready again."""

    worker: str
    since: float
    until: float

    def touches(self, since: float, until: float) -> bool:
        """Whether it falls into this span."""
        return since <= self.until and until >= self.since


@dataclass(frozen=True, slots=True)
class Message:
    """A row of `message_tracking`. `is_ambiguous`: nobody knows of some attempt whether it was accepted."""

    id: str
    mapping_id: str
    direction: str
    status: str
    wa_id: str
    wamid: str | None = None
    genesys_message_id: str | None = None
    campaign_id: str | None = None
    is_published: bool = False
    is_ambiguous: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """A stored event of a message; `attempt` is 0 where it names none, `at` when it was stored."""

    message_id: str
    status: str
    attempt: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation mapping with every conversation id that it has or had.

    `address`: the customer's, as last used; `customer`: who that is to the cluster.
    """

    id: str
    number: str
    address: str
    customer: str
    status: str
    conversations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A stored dead letter."""

    body: bytes
    reason: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A campaign's recipient."""

    wa_id: str
    status: str
    skip_reason: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the platform took; `message_id` from our callback data."""

    message_id: str
    to: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """An event about an outbound message, `outbound.sent` or `outbound.failed`."""

    message_id: str
    event_type: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """An event that an agent waits for at the end. `is_published`: the cluster says that it was told."""

    event_type: str
    subject: str
    is_published: bool


@dataclass(frozen=True, slots=True)
class Remains:
    """What is still under way: all of it empty or zero at rest."""

    queues: Mapping[str, int] = field(default_factory=dict)
    deferred: Mapping[str, int] = field(default_factory=dict)
    unmarked: int = 0
    unmatched: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything there is to judge. Sequences of what was sent or seen are in that order.

    `too_long`: recipients whose value the campaign's template does not take. `known_as`: every address ever
    of a person who has several, by the one that they have now.
    """

    inbound: Sequence[InboundSent] = ()
    seen: Sequence[EnrichedSeen] = ()
    replies: Sequence[ReplySent] = ()
    deaths: Sequence[ExpectedDeath] = ()
    correlated: Sequence[Correlated] = ()
    closed: Sequence[str] = ()
    opted_out: frozenset[str] = frozenset()
    too_long: frozenset[str] = frozenset()
    known_as: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outages: Sequence[Outage] = ()
    messages: Sequence[Message] = ()
    events: Sequence[StatusEvent] = ()
    mappings: Sequence[Conversation] = ()
    letters: Sequence[DeadLetter] = ()
    recipients: Sequence[Recipient] = ()
    accepted: Sequence[Accepted] = ()
    told: Sequence[Told] = ()
    awaited: Sequence[Awaited] = ()
    remains: Remains = Remains()
    exit_codes: Mapping[str, int] = field(default_factory=dict)

    def person(self, address: str) -> str:
        """Whose an address is now: the address that this person has at the end."""
        if address in self.known_as:
            return address
        return next((person for person, known in self.known_as.items() if address in known), address)

    def is_of(self, address: str, person: str) -> bool:
        """Whether an address is this person's, or once was."""
        return address == person or address in self.known_as.get(person, ())
