"""Dead letters found, chosen and edited without a command line, as a console would."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from shared.deadletters.choice import choose
from shared.deadletters.edit import InvalidEdit, NotEditable, read_edited, text_of
from shared.deadletters.letters import Selection
from shared.deadletters.reading import (
    NoBeginning,
    SeveralLetters,
    UnknownLetter,
    read_page,
    read_whole,
    resolve,
)
from shared.deadletters.store import DeadLetterStore
from shared.errors import WabusError
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.dead_letters import insert_letter


@pytest.fixture
async def store(cluster: Cluster) -> AsyncIterator[DeadLetterStore]:
    database = Database(cluster.database_url, size=1)
    yield DeadLetterStore(database)
    await database.close()


@pytest.mark.parametrize(
    ("beginning", "kind"), [("xyz", NoBeginning), ("ffff", UnknownLetter), ("1", SeveralLetters)]
)
async def test_what_names_no_single_letter_is_an_error_of_its_own_kind(
    cluster: Cluster, store: DeadLetterStore, beginning: str, kind: type[WabusError]
) -> None:
    for last in ("1", "2"):
        await insert_letter(cluster, id=UUID(f"10000000-0000-0000-0000-00000000000{last}"))

    with pytest.raises(kind):
        await resolve(store, beginning)


async def test_a_page_has_bodies_where_they_are_asked_for(cluster: Cluster, store: DeadLetterStore) -> None:
    row = await insert_letter(cluster, payload='{"a": 1}', raw_body=b'{"a": 1}')
    await insert_letter(cluster, reason="unrouted")

    page = await read_page(store, Selection(ids=(row["id"],)), 10, settled=False, with_bodies=True)
    bare = await read_page(store, Selection(), 1, settled=False, with_bodies=False)

    assert (page.total, dict(page.bodies)) == (1, {row["id"]: ({"a": 1}, None)})
    assert (bare.total, len(bare.lines), dict(bare.bodies)) == (2, 1, {})


async def test_only_unrouted_letters_take_another_routing_key(
    cluster: Cluster, store: DeadLetterStore
) -> None:
    await insert_letter(cluster, reason="unrouted")
    unrouted = await choose(store, (), Selection())

    await insert_letter(cluster)
    mixed = await choose(store, (), Selection())

    assert (unrouted.is_unrouted, mixed.is_unrouted) == (True, False)


async def test_a_settled_letter_is_not_edited(cluster: Cluster, store: DeadLetterStore) -> None:
    row = await insert_letter(cluster)
    await store.dismiss([row["id"]], by="ana", why="test")

    letter = await read_whole(store, row["id"].hex)

    with pytest.raises(NotEditable, match="it is dismissed"):
        text_of(letter)


async def test_an_edit_is_what_its_queue_takes_or_an_error(cluster: Cluster, store: DeadLetterStore) -> None:
    row = await insert_letter(cluster, raw_body=b'{"wamid":"wamid.1","wa_id":"none"}')
    letter = await read_whole(store, row["id"].hex)
    mended = text_of(letter).replace("none", "491700000001").replace("}", ', "timestamp": 1760000000}')

    edited = read_edited(letter, mended, None)

    assert edited.body == mended.strip().encode()
    with pytest.raises(InvalidEdit, match="wa_id"):
        read_edited(letter, text_of(letter), None)
