"""The judge of a run: the demo's promises, and those that only faults put to the test. Pure.

Owns what is promised under faults and how a breach is told. It was not there: it knows the recorded load and
what was read from servers afterwards, nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from deploy.demo.invariants import Verdict, cluster, inbound, outbound
from deploy.demo.invariants.evidence import Outage
from deploy.demo.invariants.verdict import judge
from tests.faults.proof import Footprint, Proof
from tests.faults.waiting import untouched_wait_for_nobody

Promise = Callable[[Proof], Verdict]

#: Events that are told of a row of the outbox; `inbound.enriched` keeps its mark on the message's own row.
_OUTSIDE_OUTBOX: Final = "inbound.enriched"
RABBITMQ_CONNECTIONS: Final = 2
_POSTGRES_POOL: Final = 9
_REDIS_POOL: Final = 34
_FILES: Final = 60
_TASKS: Final = 5
_GROWTH: Final = 1.6
_GROWTH_BYTES: Final = 40 * 1024 * 1024


def told_with_one_key(proof: Proof) -> Verdict:
    """Rule 1.5: every event goes out at least once, each time with the same key."""
    heard: defaultdict[str, set[str]] = defaultdict(set)
    for event in proof.heard:
        heard[event.key].add(event.event_type)
    return judge(
        "every recorded event was told at least once, under its key",
        len(proof.outbox),
        (
            f"{row.event_type} {row.key}: {'told as ' + ', '.join(sorted(told)) if told else 'never told'}"
            for row in proof.outbox
            if (told := heard.get(row.key, set())) != {row.event_type}
        ),
    )


def one_key_per_step(proof: Proof) -> Verdict:
    """Rules 1.5 and 5.3: a step of a message has one event, so one key, however often it is told."""
    keys: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for event in proof.heard:
        if event.event_type == "message.updated":
            payload = event.payload
            keys[payload["message_id"], payload["old_status"], payload["new_status"]].add(event.key)
    return judge(
        "every step of a message is told under one key",
        len(keys),
        (f"{' '.join(step)}: {len(found)} keys" for step, found in keys.items() if len(found) > 1),
    )


def statuses_arrive(proof: Proof) -> Verdict:
    """Whatever was told of a message shows on it: the agents' platform processes all, customers read all."""
    evidence = proof.evidence
    seen = {item.wamid for item in evidence.seen}
    accepted = {item.message_id for item in evidence.accepted}
    wanted = {
        **{row.id: "processed" for row in evidence.messages if row.wamid in seen},
        **{row.id: "read" for row in evidence.messages if row.id in accepted},
    }
    return judge(
        "every message has the last status that was told of it",
        len(wanted),
        (
            f"{row.wamid or row.id}: {row.status}, not {wanted[row.id]}"
            for row in evidence.messages
            if row.id in wanted and row.status != wanted[row.id]
        ),
    )


def failed_are_dead(proof: Proof) -> Verdict:
    """Every message that failed has a dead letter whose reason is that of its failure."""
    return judge(
        "every message that failed is in the dead letters, with a true reason",
        len(proof.failed),
        (
            f"{row.message_id} failed with {row.error_code!r}: dead as {sorted(row.reasons) or 'nothing'}"
            for row in proof.failed
            if not row.reasons or not row.reasons <= _true_reasons(row.error_code)
        ),
    )


def poison_is_dead(proof: Proof) -> Verdict:
    """As in the demo; what a gateway had to repeat may have died twice."""
    verdict = cluster.poison_is_dead(proof.evidence)
    twice = {death.what for death in proof.evidence.deaths if death.body in proof.repeated}
    kept = tuple(
        violation
        for violation in verdict.violations
        if not (" 2 times dead as" in violation and violation.partition(":")[0] in twice)
    )
    return Verdict(verdict.promise, verdict.checked, kept)


def nothing_else_died(proof: Proof) -> Verdict:
    """A good message dies of nothing, save of an answer that nobody got (rule 4.3)."""
    evidence = proof.evidence
    letters = [letter for letter in evidence.letters if letter.body not in proof.undecided]
    return cluster.nothing_else_died(replace(evidence, letters=letters))


def in_order(proof: Proof) -> Verdict:
    """Rule 3.3: promised within one replica; what was on its way during a fault may come later."""
    faults = [Outage(fault.name, fault.since, fault.until) for fault in proof.injected]
    verdict = inbound.in_order(replace(proof.evidence, outages=faults))
    return verdict if proof.replicas == 1 else Verdict(verdict.promise, 0, ())


def erased_are_gone(proof: Proof) -> Verdict:
    """Rule 11.1: who is erased is under all addresses, whatever joins them meanwhile."""
    return judge("nothing stays of whom an operator erased", proof.erased, proof.left_of_erased)


def nobody_is_stuck(proof: Proof) -> Verdict:
    """At rest every worker lives, is ready, and consumes its queues."""
    stuck = [
        f"{name}: {'not live' if not held.is_live else 'not ready'}"
        for name, held in proof.after.processes.items()
        if not (held.is_live and held.is_ready)
    ]
    missing = [
        f"{queue}: {count} consumers of {wanted}"
        for queue, wanted in proof.before.consumers.items()
        if (count := proof.after.consumers.get(queue, 0)) != wanted
    ]
    return judge("no worker is stuck", len(proof.after.processes), [*stuck, *missing])


def connections_are_returned(proof: Proof) -> Verdict:
    """RabbitMQ's are two a worker, to consume and to publish; of a pool's, no more than it may hold."""
    processes = len(proof.after.processes)
    limits = {
        "rabbitmq": processes * RABBITMQ_CONNECTIONS,
        "postgres": processes * _POSTGRES_POOL,
        "redis": processes * _REDIS_POOL,
    }
    return judge(
        "no connection is left open",
        len(limits),
        (
            f"{server}: {count} connections, at most {limits[server]} expected"
            for server, count in proof.after.connections.items()
            if count > limits[server]
        ),
    )


def nothing_is_leaked(proof: Proof) -> Verdict:
    """Rest after a run holds little more than the rest before it, in memory, open files and tasks."""
    breaches = find_growth(proof.before, proof.after)
    return judge("no worker's memory, open files or tasks grow", len(proof.after.processes), breaches)


def find_growth(earlier: Footprint, later: Footprint) -> list[str]:
    """What each process holds that it did not hold earlier, as far as it is more than little."""
    breaches = []
    for name, after in later.processes.items():
        before = earlier.processes.get(name)
        if before is None:
            continue
        if after.rss_bytes > before.rss_bytes * _GROWTH + _GROWTH_BYTES:
            breaches.append(
                f"{name}: {_megabytes(before.rss_bytes)} before, {_megabytes(after.rss_bytes)} after"
            )
        if after.files > before.files + _FILES:
            breaches.append(f"{name}: {before.files} open files before, {after.files} after")
        if after.tasks > before.tasks + _TASKS:
            breaches.append(f"{name}: {before.tasks} tasks before, {after.tasks} after")
    return breaches


def _demo(invariant: Callable[..., Verdict]) -> Promise:
    return lambda proof: invariant(proof.evidence)


#: In the order in which people read them.
PROMISES: Final[tuple[Promise, ...]] = (
    *map(_demo, (inbound.tracked_once, inbound.published, inbound.one_key_each, inbound.same_each_time)),
    in_order,
    *map(_demo, (inbound.one_active_mapping, inbound.one_customer, inbound.theirs, inbound.correlated)),
    *map(_demo, (outbound.replies_once, outbound.nothing_unasked, outbound.told_once)),
    *map(_demo, (outbound.recipients_once, outbound.opted_out_spared, outbound.highest_status)),
    statuses_arrive,
    told_with_one_key,
    one_key_per_step,
    *map(_demo, (outbound.nothing_queued,)),
    failed_are_dead,
    poison_is_dead,
    nothing_else_died,
    *map(_demo, (cluster.all_marked, cluster.queues_empty)),
    *map(_demo, (cluster.nothing_waits, cluster.drained)),
    untouched_wait_for_nobody,
    erased_are_gone,
    nobody_is_stuck,
    connections_are_returned,
    nothing_is_leaked,
)


def count_lost(proof: Proof) -> int:
    """Accepted messages that had no effect: never tracked, never told, replies never accepted."""
    tracked = {row.wamid for row in proof.evidence.messages}
    seen = {item.wamid for item in proof.evidence.seen}
    inbound_lost = {sent.wamid for sent in proof.evidence.inbound} - (tracked & seen)
    accepted = {item.message_id for item in proof.evidence.accepted}
    rows = {row.genesys_message_id: row.id for row in proof.evidence.messages if row.genesys_message_id}
    replies_lost = [
        reply
        for reply in proof.evidence.replies
        if not reply.is_refused and rows.get(reply.genesys_message_id) not in accepted
    ]
    return len(inbound_lost) + len(replies_lost)


def count_twice(proof: Proof) -> tuple[int, int]:
    """Messages that the platform took more than once: against the promise, and as documented (rule 4.3)."""
    ambiguous = {row.id for row in proof.evidence.messages if row.is_ambiguous and not row.campaign_id}
    times = Counter(item.message_id for item in proof.evidence.accepted)
    repeated = {message_id: count for message_id, count in times.items() if count > 1}
    documented = [one for one, count in repeated.items() if one in ambiguous and count == 2]
    return len(repeated) - len(documented), len(documented)


def _true_reasons(error_code: str) -> frozenset[str]:
    """Why a message with this error may be dead. A platform's code is a number."""
    if error_code in ("send_ambiguous", "expired", "invalid_media_url", "max_retries_exceeded"):
        return frozenset({error_code})
    if error_code.isdigit():
        return frozenset({"send_rejected", "max_retries_exceeded"})
    return frozenset({error_code, "send_rejected", "unexpected_error"})


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MB"
