"""Promises about messages to customers: sent once, told, and where their statuses lead. Pure."""

from collections import Counter, defaultdict
from typing import Final

from deploy.demo.invariants.evidence import Evidence, Message
from deploy.demo.invariants.verdict import Verdict, judge

#: States of each direction from the first to the highest, said here again to be a check.
_RANKS: Final = {
    "INBOUND": ("received", "failed", "processed"),
    "OUTBOUND": ("queued", "sent", "delivered", "failed", "read"),
}
#: What platforms call a state.
_STATES: Final = {"played": "read"}
#: The platform's code for a text that is too long with its values.
_TEXT_TOO_LONG: Final = "132005"
#: How often a message may be accepted when nobody knew what became of its first attempt.
_AMBIGUOUS_LIMIT: Final = 2


def replies_once(evidence: Evidence) -> Verdict:
    """A reply is accepted once, an ambiguous one at most twice.

    Once more for each time that the platform takes it back, by a status of an attempt that was not the last.
    """
    rows = {row.genesys_message_id: row for row in evidence.messages if row.genesys_message_id}
    accepted = Counter(item.message_id for item in evidence.accepted)
    taken_back = _attempts_taken_back(evidence)
    violations = []
    for reply in evidence.replies:
        row = rows.get(reply.genesys_message_id)
        times = accepted[row.id] - taken_back[row.id] if row else 0
        allowed = range(_AMBIGUOUS_LIMIT + 1) if row and row.is_ambiguous else (0 if reply.is_refused else 1,)
        if times not in allowed:
            violations.append(f"reply {reply.genesys_message_id}: accepted {times} times")
    return judge(
        "WhatsApp takes every reply once (at most twice where its answer was lost)",
        len(evidence.replies),
        violations,
    )


def nothing_unasked(evidence: Evidence) -> Verdict:
    """Whatever the platform took belongs to a row of ours, and went to an address of the row's customer."""
    rows = {row.id: row for row in evidence.messages if row.direction == "OUTBOUND"}
    violations = []
    for item in evidence.accepted:
        row = rows.get(item.message_id)
        if row is None or not evidence.is_of(item.to, evidence.person(row.wa_id)):
            violations.append(f"accepted for {item.to}: message {item.message_id or 'without callback data'}")
    return judge(
        "whatever WhatsApp took is a message of ours to that customer",
        len(evidence.accepted),
        violations,
    )


def told_once(evidence: Evidence) -> Verdict:
    """Each message ends in `outbound.sent` or `outbound.failed`, each told once."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in evidence.told:
        told[item.message_id][item.event_type] += 1
    rows = [row for row in evidence.messages if row.direction == "OUTBOUND"]
    return judge(
        "every message to a customer ends in outbound.sent or outbound.failed, told once",
        len(rows),
        (
            f"{_name(row)}, {row.status}: told {dict(told[row.id])}"
            for row in rows
            if not _is_told(row, told[row.id])
        ),
    )


def recipients_once(evidence: Evidence) -> Verdict:
    """At most once, whatever is redelivered or launched again; and nobody is left waiting."""
    campaigns = {row.id: row.campaign_id for row in evidence.messages if row.campaign_id}
    times = Counter(
        (campaigns[item.message_id], evidence.person(item.to))
        for item in evidence.accepted
        if item.message_id in campaigns
    )
    return judge(
        "a campaign reaches a person at most once, whichever addresses it lists, and leaves none over",
        len(evidence.recipients),
        [
            *(f"{to}: {count} times by {campaign}" for (campaign, to), count in times.items() if count > 1),
            *(
                f"{one.wa_id}: still {one.status}"
                for one in evidence.recipients
                if one.status in ("pending", "queued")
            ),
        ],
    )


def opted_out_spared(evidence: Evidence) -> Verdict:
    """No marketing to the opted out; they are skipped with the reason."""
    campaign = {row.id for row in evidence.messages if row.campaign_id}
    sent_to = {evidence.person(item.to) for item in evidence.accepted if item.message_id in campaign}
    spared = {
        evidence.person(one.wa_id)
        for one in evidence.recipients
        if (one.status, one.skip_reason) == ("skipped", "opted_out")
    }
    return judge(
        "nobody who opted out is sent marketing, under whatever address",
        len(evidence.opted_out),
        [
            *(f"{wa_id}: sent to" for wa_id in sorted(evidence.opted_out & sent_to)),
            *(f"{wa_id}: not skipped as opted_out" for wa_id in sorted(evidence.opted_out ^ spared)),
        ],
    )


def highest_status(evidence: Evidence) -> Verdict:
    """The highest rank among a message's events, in whatever order they came."""
    events: defaultdict[str, list[str]] = defaultdict(list)
    attempts = {row.id: row.attempts for row in evidence.messages}
    for event in evidence.events:
        is_superseded = event.status == "failed" and 0 < event.attempt < attempts.get(event.message_id, 0)
        if not is_superseded:
            events[event.message_id].append(_STATES.get(event.status, event.status))
    violations = []
    for row in evidence.messages:
        ranks = _RANKS[row.direction]
        highest = max((ranks.index(status) for status in events[row.id] if status in ranks), default=0)
        if row.status != ranks[highest]:
            violations.append(f"{_name(row)}: {row.status}, but its events say {ranks[highest]}")
    return judge(
        "a message has the furthest status that was told of it, in whatever order",
        len(evidence.messages),
        violations,
    )


def nothing_queued(evidence: Evidence) -> Verdict:
    """At rest no message waits to be sent."""
    rows = [row for row in evidence.messages if row.direction == "OUTBOUND"]
    return judge(
        "no message to a customer is left unsent",
        len(rows),
        (_name(row) for row in rows if row.status == "queued"),
    )


def wrong_values_fail_alone(evidence: Evidence) -> Verdict:
    """Scope by evidence: who has a value that the template does not take fails, and nobody else."""
    codes = {one.wa_id: one.error_code for one in evidence.recipients if one.status == "failed"}
    return judge(
        "a value that the template does not take fails its recipient alone",
        len(evidence.too_long),
        [
            *(
                f"{wa_id}: code {codes.get(wa_id)}"
                for wa_id in sorted(evidence.too_long)
                if codes.get(wa_id) != _TEXT_TOO_LONG
            ),
            *(f"{wa_id}: failed, code {codes[wa_id]}" for wa_id in sorted(codes.keys() - evidence.too_long)),
        ],
    )


def _attempts_taken_back(evidence: Evidence) -> Counter[str]:
    """By message: attempts before the last whose failure a status told."""
    attempts = {row.id: row.attempts for row in evidence.messages}
    failed = {(event.message_id, event.attempt) for event in evidence.events if event.status == "failed"}
    return Counter(message_id for message_id, attempt in failed if 0 < attempt < attempts.get(message_id, 0))


def _is_told(row: Message, told: Counter[str]) -> bool:
    wanted = {"outbound.failed"} if row.status == "failed" else {"outbound.sent"}
    return wanted <= told.keys() and all(count == 1 for count in told.values())


def _name(row: Message) -> str:
    return f"{row.direction.lower()} {row.wamid or row.genesys_message_id or row.id}"
