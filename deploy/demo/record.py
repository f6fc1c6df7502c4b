"""What the demo itself did and saw: half of the evidence, the other half is read from the servers.

Everything is by one clock, `now_s`: epoch seconds of this machine, as the sandbox's times are.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.demo.invariants.evidence import (
    Correlated,
    EnrichedSeen,
    ExpectedDeath,
    InboundSent,
    Outage,
    ReplySent,
)

now_s = time.time


@dataclass(slots=True)
class Record:
    """Filled by everybody who plays a part. `published` counts every publish, copies too, by exchange."""

    inbound: dict[str, InboundSent] = field(default_factory=dict)
    seen: list[EnrichedSeen] = field(default_factory=list)
    replies: dict[str, ReplySent] = field(default_factory=dict)
    #: Replies that nothing but load delays.
    plain_replies: set[str] = field(default_factory=set)
    #: When the agent platform said of a message that it has it, by wamid.
    processed: dict[str, float] = field(default_factory=dict)
    #: When the day began: what came before was to measure the machine.
    day_began: float = 0.0
    deaths: list[ExpectedDeath] = field(default_factory=list)
    correlated: list[Correlated] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    opted_out: frozenset[str] = frozenset()
    too_long: frozenset[str] = frozenset()
    #: Every address ever of who has several, by the one at the end of the day.
    known_as: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    resumed: Counter[str] = field(default_factory=Counter)
    inbound_copies: int = 0
    reply_copies: int = 0
    published: Counter[str] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)
    _known: set[str] = field(default_factory=set)

    def see(self, item: EnrichedSeen) -> bool:
        """Note a delivery of `inbound.enriched`; says whether its key is new."""
        self.seen.append(item)
        is_new = item.key not in self._known
        self._known.add(item.key)
        return is_new

    def has_seen(self, key: str) -> bool:
        """Whether `inbound.enriched` was delivered with this key."""
        return key in self._known

    @property
    def distinct_seen(self) -> int:
        """Enriched messages by key."""
        return len(self._known)
