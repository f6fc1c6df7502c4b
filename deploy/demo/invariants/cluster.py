"""Promises about the cluster as a whole: its dead letters, and what is left when all is done. Pure."""

from collections import Counter

import orjson

from deploy.demo.invariants.evidence import Evidence
from deploy.demo.invariants.verdict import Verdict, judge


def poison_is_dead(evidence: Evidence) -> Verdict:
    """What must die is stored once, byte for byte, with its reason."""
    found = Counter((letter.body, letter.reason) for letter in evidence.letters)
    by_body = {letter.body: letter.reason for letter in evidence.letters}
    violations = []
    for death in evidence.deaths:
        times = found[death.body, death.reason]
        if times != 1:
            instead = f", but as {by_body[death.body]}" if death.body in by_body and not times else ""
            violations.append(f"{death.what}: {times} times dead as {death.reason}{instead}")
    return judge(
        "every message that cannot be worked is a dead letter once, with its reason",
        len(evidence.deaths),
        violations,
    )


def nothing_else_died(evidence: Evidence) -> Verdict:
    """A good message dies of nothing."""
    expected = {death.body for death in evidence.deaths}
    return judge(
        "no other message is a dead letter",
        len(evidence.letters),
        (
            f"{letter.reason}: {letter.error}"
            for letter in evidence.letters
            if letter.body not in expected and _campaign_recipient(letter.body) not in evidence.too_long
        ),
    )


def _campaign_recipient(body: bytes) -> str | None:
    """To whom a campaign's message goes, however its JSON is spaced; None: it is no such message."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or "campaign_id" not in message:
        return None
    recipient = message.get("wa_id")
    return recipient if isinstance(recipient, str) else None


def agents_told(evidence: Evidence) -> Verdict:
    """What an agent waits for is told. Where it was, and was not heard, that is no fault of the cluster's."""
    return judge(
        "nobody waits for an event that was never told",
        len(evidence.told) + len(evidence.awaited),
        (f"{item.event_type} of {item.subject}" for item in evidence.awaited if not item.is_published),
    )


def all_marked(evidence: Evidence) -> Verdict:
    """What was to be published is, and is marked."""
    unmarked = evidence.remains.unmarked
    return judge("every event is published, and marked so", 1, [f"{unmarked} are not"] if unmarked else [])


def queues_empty(evidence: Evidence) -> Verdict:
    """Nothing waits in any queue, retry tiers and dead letters too."""
    depths = evidence.remains.queues
    return judge(
        "every queue is empty", len(depths), (f"{name}: {depth}" for name, depth in depths.items() if depth)
    )


def nothing_waits(evidence: Evidence) -> Verdict:
    """No message is deferred, no status waits for its message."""
    remains = evidence.remains
    waiting = [f"{count} deferred: {reason}" for reason, count in remains.deferred.items() if count]
    if remains.unmatched:
        waiting.append(f"{remains.unmatched} statuses without a message")
    return judge("no message waits for its time, no status for its message", 1, waiting)


def drained(evidence: Evidence) -> Verdict:
    """SIGTERM drains, exit 0."""
    codes = evidence.exit_codes
    return judge(
        "every worker finishes its work on SIGTERM and exits 0",
        len(codes),
        (f"{name}: exit code {code}" for name, code in codes.items() if code),
    )
