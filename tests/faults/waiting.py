"""What untouched customers waited, beside faults and without. Pure.

Owns how long a wait may be: without a fault they waited so long at most, beside one 2 s more. A replica that
cannot work may besides hold for a while what it had in hand. Where the machine itself was slower than without
(messages of no worker took so many times as long, by their median), so was everybody.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from deploy.demo.invariants import Verdict
from deploy.demo.invariants.verdict import judge
from tests.faults.fault import Wait
from tests.faults.proof import Proof
from tests.faults.results import Injected, Span

#: How much longer an untouched message may wait beside a fault.
PATIENCE_S: Final = 2.0
#: Within how long a replica that is cut off notices it, and takes nothing more.
_NOTICED_S: Final = 5.0
#: What little was seen before the first fault says nothing.
_LEAST: Final = 10


@dataclass(frozen=True, slots=True)
class Waited:
    """One wait of an untouched customer, in epoch seconds."""

    kind: Wait
    name: str
    since: float
    until: float


def untouched_wait_for_nobody(proof: Proof) -> Verdict:
    """Rule 2.10: beside a fault nobody whom it does not touch waits 2 s more than without."""
    quiet = _quiet(proof)
    checked, breaches = 0, []
    for fault, waits in _beside(proof):
        for waited in waits:
            checked += 1
            before = quiet.get(waited.kind)
            if before is None:
                breaches.append(f"{fault.name}: nothing was seen before it to compare a {waited.kind} with")
                continue
            seconds, allowed = waited.until - waited.since, _allowed(before, fault, waited, proof)
            if seconds > allowed:
                breaches.append(
                    f"{fault.name}: {waited.kind} of {waited.name} waited {seconds:.1f} s of {allowed:.1f} s,"
                    f" from {waited.since - fault.in_force:+.1f} s; at most {before:.1f} s before it"
                )
    return judge("whom a fault does not touch waits no 2 s more than without", checked, breaches)


def measure(proof: Proof) -> list[Span]:
    """For people: the longest waits beside each fault that must spare them."""
    quiet = _quiet(proof)
    spans = []
    for fault, waits in _beside(proof):
        for kind in sorted({waited.kind for waited in waits}):
            seconds = [waited.until - waited.since for waited in waits if waited.kind == kind]
            spans.append(Span(fault.name, kind, len(seconds), max(seconds), quiet.get(kind, 0.0)))
    return spans


def _quiet(proof: Proof) -> dict[Wait, float]:
    """The longest wait of each kind that was over before the first fault."""
    first = _first_fault(proof)
    found: defaultdict[Wait, list[float]] = defaultdict(list)
    for waited in read_waits(proof):
        if waited.until < first:
            found[waited.kind].append(waited.until - waited.since)
    return {kind: max(seconds) for kind, seconds in found.items() if len(seconds) >= _LEAST}


def _beside(proof: Proof) -> Iterator[tuple[Injected, Sequence[Waited]]]:
    """Each fault that struck and spares somebody, with the waits that it must not lengthen.

    What another fault could lengthen is not held against this one.
    """
    every = list(read_waits(proof))
    for fault in proof.injected:
        if not fault.spares or fault.recovered_s is None:
            continue
        others = [other for other in proof.injected if other is not fault]
        yield (
            fault,
            [
                cut
                for waited in every
                if waited.kind in fault.spares
                and _falls_into(waited, fault)
                and (cut := _cut(waited, others)) is not None
            ],
        )


def _cut(waited: Waited, others: Iterable[Injected]) -> Waited | None:
    """The part of a wait before the next fault that may lengthen it; None of one that began during such."""
    for other in others:
        lasting = replace(other, until=other.until + other.lingers_s)
        if waited.kind in other.spares or not _falls_into(waited, lasting):
            continue
        if waited.since >= other.since:
            return None
        waited = replace(waited, until=min(waited.until, other.since))
    return waited


def _falls_into(waited: Waited, fault: Injected) -> bool:
    return waited.since <= fault.until and waited.until >= fault.since


def _allowed(before: float, fault: Injected, waited: Waited, proof: Proof) -> float:
    is_in_hand = waited.since <= fault.in_force + _NOTICED_S and waited.until >= fault.in_force
    return (before + PATIENCE_S) * _slowness(waited, proof) + (fault.held_s if is_in_hand else 0.0)


def _slowness(waited: Waited, proof: Proof) -> float:
    """How many times as long as before the first fault a message of no worker took meanwhile; 1 at least."""
    first = _first_fault(proof)
    quiet = [lap.seconds for lap in proof.laps if lap.since + lap.seconds < first]
    meanwhile = [
        lap.seconds
        for lap in proof.laps
        if lap.since <= waited.until and lap.since + lap.seconds >= waited.since
    ]
    return max(1.0, median(meanwhile) / median(quiet)) if quiet and meanwhile else 1.0


def _first_fault(proof: Proof) -> float:
    return min((fault.since for fault in proof.injected), default=float("inf"))


def read_waits(proof: Proof) -> Iterator[Waited]:
    """Every wait of an untouched customer. What never came is judged elsewhere."""
    evidence = proof.evidence
    for sent in evidence.inbound:
        if sent.wamid in proof.untouched and sent.wamid in proof.enriched_at:
            yield Waited("inbound", sent.wamid, sent.at, proof.enriched_at[sent.wamid])
    accepted: dict[str, float] = {}
    for item in evidence.accepted:
        accepted.setdefault(item.message_id, item.at)
    rows = {row.genesys_message_id: row.id for row in evidence.messages if row.genesys_message_id}
    for reply in evidence.replies:
        message_id = rows.get(reply.genesys_message_id)
        if reply.genesys_message_id not in proof.untouched or message_id not in accepted:
            continue
        since = accepted[message_id]
        yield Waited("reply", reply.genesys_message_id, reply.at, since)
        if message_id in proof.delivered_at:
            yield Waited("status", reply.genesys_message_id, since, proof.delivered_at[message_id])
