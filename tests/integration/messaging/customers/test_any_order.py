"""The same evidence in any order, once, twice and on two replicas at once, ends in the same customers."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest

from shared.errors import StoreConflict
from shared.messaging.customers.evidence import AddressEvidence, Source
from shared.messaging.customers.identities import follow
from shared.messaging.customers.whose import customers_of
from tests.support.rows import NOON, Connection

PHONE: Final = "491700000001"
OTHER: Final = "491700000002"
THIRD: Final = "491700000003"
ID: Final = "DE.8842"


def told(
    address: str, other: str, minutes: float = 0, source: Source = "inbound", *, change: bool = False
) -> AddressEvidence:
    return AddressEvidence(
        address, other, source, NOON + timedelta(minutes=minutes), "trace-1", is_change=change
    )


def changed(address: str, other: str, minutes: float) -> AddressEvidence:
    return told(address, other, minutes, "system", change=True)


@dataclass(slots=True)
class Story:
    """What was told, whichever way it comes, and who is who afterwards."""

    evidences: list[AddressEvidence] = field(default_factory=list)
    persons: list[set[str]] = field(default_factory=list)


STORIES: Final = {
    "a phone, an id and a parent id": Story(
        [told(PHONE, ID), told(PHONE, "DE.ENT.7", 1), told(ID, "DE.ENT.7", 2)],
        [{PHONE, ID, "DE.ENT.7"}],
    ),
    "ids alone, and then a phone": Story(
        [told(ID, "DE.ENT.7"), told("FR.9", "DE.ENT.7", 1), told("FR.9", PHONE, 2)],
        [{PHONE, ID, "FR.9", "DE.ENT.7"}],
    ),
    "two notations": Story(
        [told("5531987654321", "BR.1"), told("553187654321", "BR.2", 1)],
        [{"5531987654321", "553187654321", "BR.1", "BR.2"}],
    ),
    "an id with two phones": Story([told(PHONE, ID), told(OTHER, ID, 1)], [{PHONE, ID}, {OTHER}]),
    "an id with two phones at the same time": Story(
        [told(PHONE, ID), told(OTHER, ID)], [{PHONE, ID}, {OTHER}]
    ),
    "an id with three phones, each with ids of its own": Story(
        [told(PHONE, ID), told(OTHER, ID, 1), told(THIRD, ID, 2), told(OTHER, "DE.9", 3)],
        [{PHONE, ID}, {OTHER, "DE.9"}, {THIRD}],
    ),
    "two persons, and ids that would make them one": Story(
        [told(PHONE, ID), told(OTHER, "DE.9", 1), told(ID, "DE.9", 2)], [{PHONE, ID}, {OTHER, "DE.9"}]
    ),
    "a phone and its notation from an answer": Story(
        [told("5531987654321", "553187654321", 0, "answer"), told("5531987654321", "BR.1", 1, "answer")],
        [{"5531987654321", "553187654321", "BR.1"}],
    ),
    "a status of before a change": Story(
        [told(PHONE, ID), told(PHONE, "DE.9", 3, "status"), changed(PHONE, OTHER, 5)],
        [{OTHER, ID, "DE.9"}, {PHONE}],
    ),
    "a status of a number that was given up": Story(
        [told(PHONE, ID), changed(PHONE, OTHER, 5), told(PHONE, "DE.9", 7, "status")],
        [{OTHER, ID}, {PHONE, "DE.9"}],
    ),
    "two numbers given up for one": Story(
        [told(PHONE, ID), told(OTHER, "DE.9"), changed(PHONE, THIRD, 1), changed(OTHER, THIRD, 2)],
        [{THIRD, ID, "DE.9"}, {PHONE}, {OTHER}],
    ),
    "an id changed where the phone comes late": Story(
        [told(ID, "DE.ENT.7"), changed(ID, "DE.9", 1), told("DE.9", PHONE, 3)],
        [{PHONE, "DE.9", "DE.ENT.7"}, {ID}],
    ),
    "a stranger with a hidden phone and a parent id has the number": Story(
        [told(PHONE, ID), changed(PHONE, OTHER, 5), told(PHONE, "FR.2", 7), told("FR.2", "FR.ENT.2", 8)],
        [{OTHER, ID}, {PHONE, "FR.2", "FR.ENT.2"}],
    ),
    "a number changed": Story(
        [told(PHONE, ID), changed(PHONE, OTHER, 5), told(OTHER, "DE.9", 6)],
        [{OTHER, ID, "DE.9"}, {PHONE}],
    ),
    "a number changed, and somebody new has it": Story(
        [told(PHONE, ID), changed(PHONE, OTHER, 5), told(PHONE, "DE.9", 7)],
        [{OTHER, ID}, {PHONE, "DE.9"}],
    ),
    "a number changed twice": Story(
        [changed(PHONE, OTHER, 1), changed(OTHER, THIRD, 2)],
        [{THIRD}, {PHONE}, {OTHER}],
    ),
    "a number changed, and back": Story(
        [changed(PHONE, OTHER, 1), changed(OTHER, PHONE, 2)], [{PHONE}, {OTHER}]
    ),
    "a number changed in a circle": Story(
        [told(PHONE, ID), changed(PHONE, OTHER, 1), changed(OTHER, THIRD, 2), changed(THIRD, PHONE, 3)],
        [{PHONE, ID}, {OTHER}, {THIRD}],
    ),
    "an id changed": Story([told(PHONE, ID), changed(ID, "DE.9", 5)], [{PHONE, "DE.9"}, {ID}]),
}


@pytest.fixture
async def replicas(conn: Connection, database_url: str) -> AsyncIterator[Sequence[Connection]]:
    """Two, each with a connection of its own."""
    second = await asyncpg.connect(database_url)
    yield conn, second
    await second.close()


async def learn(conn: Any, evidences: Sequence[AddressEvidence]) -> int:
    """Follow them one by one, as a worker does: what has lost a race comes again. Gives how often."""
    again = 0
    for evidence in evidences:
        assert evidence.other is not None
        while True:
            try:
                async with conn.transaction():
                    await follow(conn, evidence, evidence.other)
            except StoreConflict:
                again += 1
            else:
                break
    return again


async def assert_told_apart(conn: Any, story: Story, order: Sequence[AddressEvidence]) -> None:
    """Each person of the story is one customer, and no two are the same."""
    found = await customers_of(conn, [address for person in story.persons for address in person])
    customers = [{found[address] for address in person} for person in story.persons]
    heard = "\n".join(
        f"{item.address} {'→' if item.is_change else '='} {item.other} at {(item.at - NOON).seconds // 60}"
        for item in order
    )
    assert all(len(customer) == 1 for customer in customers), f"{heard}\n{story.persons}\n{found}"
    assert len(set.union(*customers)) == len(customers), f"{heard}\n{story.persons}\n{found}"


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_the_same_evidence_in_any_order_ends_in_the_same_customers(
    conn: Connection, name: str, times: int
) -> None:
    story = STORIES[name]
    for order in itertools.permutations(story.evidences):
        await conn.execute("delete from customer_addresses")
        await learn(conn, order * times)
        await assert_told_apart(conn, story, order)


@pytest.mark.parametrize("name", STORIES)
async def test_two_replicas_that_hear_it_at_once_end_in_the_same_customers(
    replicas: Sequence[Connection], name: str
) -> None:
    """A deadlock would raise: whoever joins locks in key order."""
    story = STORIES[name]
    for order in itertools.permutations(story.evidences):
        await replicas[0].execute("delete from customer_addresses")
        await asyncio.gather(learn(replicas[0], order), learn(replicas[1], tuple(reversed(order))))
        await assert_told_apart(replicas[0], story, order)


def make_story(seed: int) -> Story:
    """Three people who are heard of by phones and ids, move on to new numbers, and get others' old ones.

    A number moves on once: of several changes of one number the last is followed, earlier ones are `stale`.
    """
    draw = random.Random(seed)
    numbers = (f"4917{seed:03}{place:05}" for place in itertools.count())
    ids = (f"DE.{seed}x{place}" for place in itertools.count())
    story = Story()
    given_up: list[str] = []
    for at in range(0, 90, 30):
        is_reused = bool(given_up) and draw.random() < 0.7
        phone = given_up.pop() if is_reused else next(numbers)
        theirs = {phone}
        for minute in range(1, draw.randint(2, 4)):
            name = next(ids)
            beside = draw.choice(sorted(theirs))
            story.evidences.append(told(beside, name, at + minute))
            theirs.add(name)
        if not is_reused and draw.random() < 0.7:
            new = next(numbers)
            story.evidences += [
                changed(phone, new, at + 10),
                told(new, next(iter(theirs - {phone})), at + 12),
            ]
            theirs = theirs - {phone} | {new}
            given_up.append(phone)
        story.persons.append(theirs)
    story.persons += [{phone} for phone in given_up]
    return story


@pytest.mark.parametrize("seed", range(12))
async def test_generated_stories_end_the_same_on_two_replicas(
    replicas: Sequence[Connection], seed: int
) -> None:
    story = make_story(seed)
    draw = random.Random(seed)
    for _ in range(4):
        order = draw.sample(story.evidences, len(story.evidences))
        order += draw.sample(order, len(order) // 2)
        cut = draw.randint(0, len(order))
        await replicas[0].execute("delete from customer_addresses")
        await asyncio.gather(learn(replicas[0], order[:cut]), learn(replicas[1], order[cut:]))
        await assert_told_apart(replicas[0], story, order)
