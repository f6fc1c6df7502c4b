"""The mapping cache on a real Redis."""

from collections import Counter
from dataclasses import replace
from uuid import uuid4

import pytest
from asyncpg.pgproto import pgproto

from shared.coordination.client import RedisClient
from shared.coordination.keys import conversation_key, customer_key
from shared.durations import Durations
from shared.messaging.conversations.cache import CachedMapping, MappingCache, keys_of
from tests.support.redis_server import RedisServer


class Observed(Counter[tuple[str, str]]):
    """Counted keys by (operation, result)."""

    def add(self, operation: str, result: str, count: int) -> None:
        self[operation, result] += count


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def cache(client: RedisClient, observed: Observed, durations: Durations) -> MappingCache:
    return MappingCache(client, observe=observed.add, durations=durations)


def mapping(wa_id: str = "4915112345678", conversation_id: str | None = None) -> CachedMapping:
    return CachedMapping(uuid4(), wa_id, "106540352242922", conversation_id)


def test_keys_are_named_as_operators_know_them() -> None:
    assert customer_key("1065", "491511") == "mapping:wa:1065:491511"
    assert conversation_key("abc") == "mapping:conv:abc"


async def test_a_mapping_is_found_under_its_customer_and_its_conversation(cache: MappingCache) -> None:
    stored = mapping(conversation_id="conv-1")

    await cache.set_many([stored])

    found = await cache.get_many(keys_of(stored))

    assert found == {
        customer_key("106540352242922", stored.wa_id): stored,
        conversation_key("conv-1"): stored,
    }


async def test_an_id_as_asyncpg_returns_it_is_stored_too(cache: MappingCache) -> None:
    """asyncpg has a UUID class of its own, below the standard one."""
    stored = mapping()
    of_asyncpg = replace(stored, mapping_id=pgproto.UUID(str(stored.mapping_id)))

    await cache.set_many([of_asyncpg])

    assert await cache.get_many(keys_of(stored)) == {keys_of(stored)[0]: stored}


async def test_a_mapping_without_a_conversation_has_one_key(client: RedisClient, cache: MappingCache) -> None:
    stored = mapping()

    await cache.set_many([stored])

    assert await client.command("DBSIZE") == 1
    assert await cache.get_many(keys_of(stored)) == {keys_of(stored)[0]: stored}


async def test_a_batch_tells_hits_from_misses(cache: MappingCache, observed: Observed) -> None:
    stored = [mapping(wa_id=f"49151{n}") for n in range(100)]
    await cache.set_many(stored[:60])

    found = await cache.get_many([keys_of(each)[0] for each in stored])

    assert set(found.values()) == set(stored[:60])
    assert observed == {("set", "ok"): 60, ("get", "hit"): 60, ("get", "miss"): 40}


async def test_a_batch_costs_one_round_trip_each_way(client: RedisClient, cache: MappingCache) -> None:
    stored = [mapping(wa_id=f"49151{n}") for n in range(100)]
    await cache.set_many(stored[:1])  # loads the script
    await client.command("CONFIG RESETSTAT")

    await cache.set_many(stored)
    await cache.get_many([keys_of(each)[0] for each in stored])

    stats = await client.command("INFO", "commandstats")

    assert (stats["cmdstat_evalsha"]["calls"], stats["cmdstat_mget"]["calls"]) == (1, 1)


async def test_every_entry_lives_a_day(client: RedisClient, cache: MappingCache) -> None:
    stored = mapping()

    await cache.set_many([stored])

    day_ms = 24 * 3600 * 1000

    assert day_ms - 60_000 < await client.command("PTTL", keys_of(stored)[0]) <= day_ms


async def test_removed_keys_are_gone_and_may_be_removed_again(
    cache: MappingCache, observed: Observed
) -> None:
    stored = mapping(conversation_id="conv-1")
    await cache.set_many([stored])

    await cache.remove_many(keys_of(stored))
    await cache.remove_many(keys_of(stored))

    assert await cache.get_many(keys_of(stored)) == {}
    assert observed["remove", "ok"] == 4


@pytest.mark.parametrize(
    "corrupt",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"mapping_id":"no uuid","wa_id":"1","phone_number_id":"2","conversation_id":null}',
        b'{"mapping_id":"0199f1f4-0000-7000-8000-000000000000","wa_id":1,"phone_number_id":"2",'
        b'"conversation_id":null}',
        b'{"mapping_id":"0199f1f4-0000-7000-8000-000000000000","wa_id":"1","phone_number_id":"2"}',
    ],
)
async def test_a_corrupt_value_is_a_miss_and_is_removed(
    client: RedisClient, cache: MappingCache, observed: Observed, corrupt: bytes
) -> None:
    good = mapping()
    await cache.set_many([good])
    await client.command("SET", "mapping:conv:bad", corrupt)

    found = await cache.get_many(["mapping:conv:bad", *keys_of(good)])

    assert found == {keys_of(good)[0]: good}
    assert (observed["get", "hit"], observed["get", "miss"]) == (1, 1)
    assert await client.command("EXISTS", "mapping:conv:bad") == 0


async def test_nothing_asked_is_nothing_done(cache: MappingCache, observed: Observed) -> None:
    assert await cache.get_many([]) == {}
    await cache.set_many([])
    await cache.remove_many([])

    assert observed == {}


async def test_flushall_and_script_flush_only_cost_misses(client: RedisClient, cache: MappingCache) -> None:
    stored = mapping()
    await cache.set_many([stored])
    await client.command("FLUSHALL")
    await client.command("SCRIPT FLUSH")

    assert await cache.get_many(keys_of(stored)) == {}
    await cache.set_many([stored])

    assert await cache.get_many(keys_of(stored)) == {keys_of(stored)[0]: stored}


async def test_without_redis_everything_is_an_error_that_nobody_has_to_handle(
    own_server: RedisServer, own_client: RedisClient, observed: Observed
) -> None:
    cache = MappingCache(own_client, observe=observed.add)
    own_server.kill()

    await cache.set_many([mapping(conversation_id="conv-1")])
    await cache.remove_many(["mapping:conv:conv-1"])

    assert await cache.get_many(["mapping:conv:conv-1", "mapping:conv:conv-2"]) == {}
    assert observed == {("set", "error"): 2, ("remove", "error"): 1, ("get", "error"): 2}
