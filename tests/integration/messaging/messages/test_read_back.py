"""Whatever a status is accepted with is stored, and can be read back."""

import asyncio
import json
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.messaging.messages import StatusEvent, event_of
from shared.messaging.messages.event_store import find_waiting, read_waiting, store_events
from shared.messaging.messages.sightings import Sighting
from shared.payloads import InvalidPayload, StatusUpdate, decode
from shared.postgres.database import Database

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=120)
NUMBER = st.one_of(
    st.integers(-(10**308), 10**308),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**18, 10**19, 10**308, 131056]),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
CODE = st.one_of(NUMBER, TEXT, st.integers(0, 10**400).map(str), st.just("9" * 5000), st.none())
ERROR = st.fixed_dictionaries(
    {"code": CODE}, optional={"title": TEXT, "details": st.dictionaries(TEXT, VALUE, max_size=2)}
)
STATUS = st.fixed_dictionaries(
    {
        "status": st.one_of(st.just("failed"), TEXT.filter(lambda text: len(text) <= 100)),
        "timestamp": st.just("2026-01-15T10:30:00Z"),
        "wamid": st.text("ABC", min_size=1, max_size=255),
    },
    optional={
        "errors": st.lists(ERROR, max_size=2),
        "pricing": st.dictionaries(TEXT, VALUE, max_size=3),
        "conversation": st.dictionaries(TEXT, VALUE, max_size=3),
        "recipient_id": st.text("1", min_size=1, max_size=160),
        "extra": VALUE,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(said=STATUS)
def test_what_is_accepted_of_a_status_can_be_read_back(database_url: str, said: dict[str, Any]) -> None:
    try:
        update = decode(StatusUpdate, _body(said))
    except InvalidPayload:
        return
    event = event_of(update, "whatsapp", "trace")
    read = asyncio.run(_through_the_store(database_url, event))
    assert (read.status, read.wamid, read.occurred_at) == (event.status, event.wamid, event.occurred_at)
    assert [error.get("code") for error in read.errors] == [error.get("code") for error in event.errors]
    orjson.dumps([read.errors, read.details])  # and can be told again

    assert Sighting(read).error_class is Sighting(event).error_class


async def _through_the_store(database_url: str, event: StatusEvent) -> StatusEvent:
    database = Database(database_url, size=1)
    try:
        async with database.transaction() as connection:
            await connection.execute("delete from status_events")
        await store_events(database, [event])
        [found] = await find_waiting(database, [event.reference])
        return read_waiting(found).event
    finally:
        await database.close()


def _body(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()
