"""Promises about messages from customers and the conversations they belong to. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from deploy.demo.invariants.evidence import Conversation, EnrichedSeen, Evidence, InboundSent
from deploy.demo.invariants.verdict import Verdict, judge


def tracked_once(evidence: Evidence) -> Verdict:
    """A row per wamid, whatever was repeated."""
    rows = Counter(row.wamid for row in evidence.messages if row.direction == "INBOUND")
    wanted = {sent.wamid for sent in evidence.inbound}
    return judge(
        "every customer's message is stored once, and nothing else is",
        len(wanted),
        [
            *(f"{wamid}: {rows[wamid]} rows" for wamid in sorted(wanted) if rows[wamid] != 1),
            *(f"{wamid}: tracked, never sent" for wamid in rows if wamid not in wanted),
        ],
    )


def published(evidence: Evidence) -> Verdict:
    """Published at least once, and marked so."""
    rows = [row for row in evidence.messages if row.direction == "INBOUND"]
    seen = {item.wamid for item in evidence.seen}
    return judge(
        "every customer's message reaches the agent's side, and is marked as published",
        len(rows),
        [
            *(f"{row.wamid}: not marked published" for row in rows if not row.is_published),
            *(f"{sent.wamid}: never seen" for sent in evidence.inbound if sent.wamid not in seen),
        ],
    )


def one_key_each(evidence: Evidence) -> Verdict:
    """A consumer that deduplicates on the key sees each message once."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for item in evidence.seen:
        keys[item.wamid].add(item.key)
    return judge(
        "an agent's side that drops a repeated x-idempotency-key sees each message once",
        len(keys),
        (f"{wamid}: keys {', '.join(sorted(found))}" for wamid, found in keys.items() if found != {wamid}),
    )


def same_each_time(evidence: Evidence) -> Verdict:
    """A repeated publication says the same, and one message opens each conversation.

    Said again after two customers turned out to be one, it may name the conversation that went on.
    """
    said: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
    new: defaultdict[str, set[str]] = defaultdict(set)
    persons = {mapping.id: _person(evidence, mapping) for mapping in evidence.mappings}
    for item in evidence.seen:
        said[item.wamid].add((persons.get(item.mapping_id, item.mapping_id), item.is_new))
        new[item.mapping_id] |= {item.wamid} if item.is_new else set()
    return judge(
        "exactly one message opens each conversation (is_new_conversation)",
        len(new),
        [
            *(
                f"{wamid}: published in {len(found)} versions"
                for wamid, found in said.items()
                if len(found) > 1
            ),
            *(
                f"mapping {mapping}: {len(found)} new ones"
                for mapping, found in new.items()
                if len(found) != 1
            ),
        ],
    )


def in_order(evidence: Evidence) -> Verdict:
    """One replica keeps each customer's order; what was in flight at a kill may come later."""
    first: dict[str, EnrichedSeen] = {}
    for item in evidence.seen:
        first.setdefault(item.wamid, item)
    places = {wamid: place for place, wamid in enumerate(first)}
    return judge(
        "a customer's messages arrive in their order (save those on their way at a kill)",
        len(places),
        (
            f"{late.wamid} after {early.wamid}"
            for late, early in _swapped(evidence, places)
            if not any(outage.touches(late.at, first[late.wamid].at) for outage in evidence.outages)
        ),
    )


def _person(evidence: Evidence, mapping: Conversation) -> str:
    """The number and whom it speaks with."""
    return f"{mapping.number}/{evidence.person(mapping.address)}"


def _swapped(evidence: Evidence, places: dict[str, int]) -> Iterator[tuple[InboundSent, InboundSent]]:
    """Messages that were seen after a later one of their customer, with that one."""
    by_customer: defaultdict[str, list[InboundSent]] = defaultdict(list)
    for sent in evidence.inbound:
        if sent.wamid in places:
            by_customer[sent.stray or sent.customer].append(sent)
    for sent_in_order in by_customer.values():
        earliest: InboundSent | None = None
        for sent in reversed(sent_in_order):
            if earliest is not None and places[sent.wamid] > places[earliest.wamid]:
                yield sent, earliest
            else:
                earliest = sent


def one_active_mapping(evidence: Evidence) -> Verdict:
    """One active row per person and number."""
    persons = [(_person(evidence, mapping), mapping.status) for mapping in evidence.mappings]
    active = Counter(person for person, status in persons if status == "active")
    wanted = {sent.customer for sent in evidence.inbound}
    known = {person for person, _ in persons}
    return judge(
        "a person has at most one open conversation with a business number, under whatever address",
        len(known),
        [
            *(f"{customer}: {count} active" for customer, count in active.items() if count > 1),
            *(f"{customer}: none at all" for customer in sorted(wanted - known)),
        ],
    )


def one_customer(evidence: Evidence) -> Verdict:
    """Whatever a person is known as, it is one customer; and two persons are two."""
    customers: defaultdict[str, set[str]] = defaultdict(set)
    persons: defaultdict[str, set[str]] = defaultdict(set)
    for mapping in evidence.mappings:
        person = evidence.person(mapping.address)
        customers[person].add(mapping.customer)
        persons[mapping.customer].add(person)
    return judge(
        "a person is one customer under all addresses, and nobody else is that customer",
        len(customers),
        [
            *(f"{who}: {', '.join(sorted(found))}" for who, found in customers.items() if len(found) > 1),
            *(f"{key} is {', '.join(sorted(found))}" for key, found in persons.items() if len(found) > 1),
        ],
    )


def theirs(evidence: Evidence) -> Verdict:
    """Who has the number that somebody left does not find what was said to them."""
    writers = {sent.wamid: sent.customer for sent in evidence.inbound}
    persons = {mapping.id: _person(evidence, mapping) for mapping in evidence.mappings}
    rows = [row for row in evidence.messages if row.wamid in writers]
    return judge(
        "a message is in a conversation of whoever wrote it, be the number somebody else's by now",
        len(rows),
        (
            f"{row.wamid} of {writers[row.wamid]} is with {persons.get(row.mapping_id)}"
            for row in rows
            if row.wamid and writers[row.wamid] != persons.get(row.mapping_id)
        ),
    )


def correlated(evidence: Evidence) -> Verdict:
    """What the agent platform said of a conversation stands, and what it closed is closed.

    One that nobody closed leads to one open mapping of its person and number, be it another than at first.
    """
    persons = {mapping.id: _person(evidence, mapping) for mapping in evidence.mappings}
    holders: defaultdict[str, list[Conversation]] = defaultdict(list)
    for mapping in evidence.mappings:
        for conversation_id in mapping.conversations:
            holders[conversation_id].append(mapping)
    closed = set(evidence.closed)
    violations = []
    for item in evidence.correlated:
        name, found = f"conversation {item.conversation_id}", holders[item.conversation_id]
        active = [mapping for mapping in found if mapping.status != "closed"]
        if {persons[mapping.id] for mapping in found} != {persons.get(item.mapping_id)}:
            violations.append(f"{name} is not one of mapping {item.mapping_id}'s person")
        elif item.conversation_id in closed:
            violations += [f"{name} is {mapping.status}, not closed" for mapping in active]
        elif len(active) != 1:
            violations.append(f"{name} leads to {len(active)} open mappings")
    return judge(
        "conversations that the agent's side names are known, and those that it closes are closed",
        len(evidence.correlated),
        violations,
    )
