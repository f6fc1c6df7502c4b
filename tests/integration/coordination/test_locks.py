"""Multi-key locks on a real Redis (BEHAVIOUR: owner tokens, TTL, extension, the waits of contended keys)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from shared.coordination.client import RedisClient
from shared.coordination.keys import mapping_lock_key
from shared.coordination.locks import LockManager, LockRound
from shared.durations import Durations
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

FREE = "lock:mapping:1001:free"
TAKEN = "lock:mapping:1001:taken"


@dataclass
class Observed:
    """What the manager told its observers."""

    outcomes: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failures: int = 0

    def acquire(self, outcome: str, seconds: float) -> None:
        self.outcomes.append(outcome)
        self.took_s.append(seconds)

    def fail(self, count: int) -> None:
        self.failures += count


@pytest.fixture
def observed() -> Observed:
    return Observed()


def manager_of(
    client: RedisClient,
    observed: Observed,
    durations: Durations,
    *,
    ttl_s: float = 5.0,
    retry_count: int = 3,
) -> LockManager:
    return LockManager(
        client,
        ttl_s=ttl_s,
        retry_count=retry_count,
        observe_acquire=observed.acquire,
        count_failures=observed.fail,
        durations=replace(durations, lock_waits_s=(0.02, 0.04, 0.08)),
    )


@pytest.fixture
def manager(client: RedisClient, observed: Observed, durations: Durations) -> LockManager:
    return manager_of(client, observed, durations)


async def owner_of(client: RedisClient, key: str) -> str | None:
    value = await client.command("GET", key)
    return None if value is None else value.decode()


async def is_free(client: RedisClient, key: str) -> bool:
    return await owner_of(client, key) is None


async def all_rounds(rounds: AsyncGenerator[LockRound, None]) -> list[LockRound]:
    async with aclosing(rounds):
        return [lock_round async for lock_round in rounds]


def test_keys_are_named_as_operators_know_them() -> None:
    assert (
        mapping_lock_key("106540352242922", "4915112345678") == "lock:mapping:106540352242922:4915112345678"
    )


async def test_of_two_owners_the_first_has_the_key_until_it_releases_it(
    client: RedisClient, manager: LockManager, observed: Observed
) -> None:
    first = await manager.acquire([TAKEN])
    second = await manager.acquire([TAKEN, FREE])

    assert first.owned == {TAKEN}
    assert not first.taken
    assert second.owned == {FREE}
    assert second.taken == {TAKEN}
    await manager.release(first.token, first.owned)
    third = await manager.acquire([TAKEN])

    assert third.owned == {TAKEN}
    assert observed.outcomes == ["acquired", "contended", "acquired"]


async def test_what_acquiring_takes_is_observed(manager: LockManager, observed: Observed) -> None:
    started_at = time.perf_counter()
    await manager.acquire([FREE])
    await manager.acquire([FREE])
    took_s = time.perf_counter() - started_at

    assert min(observed.took_s) > 0
    assert sum(observed.took_s) <= took_s


async def test_a_foreign_release_does_nothing(client: RedisClient, manager: LockManager) -> None:
    held = await manager.acquire([TAKEN])

    await manager.release("another's token", [TAKEN])

    assert await owner_of(client, TAKEN) == held.token


async def test_a_release_after_expiry_leaves_the_new_owner_alone(
    client: RedisClient, observed: Observed, durations: Durations
) -> None:
    hasty = manager_of(client, observed, durations, ttl_s=0.02)
    patient = manager_of(client, observed, durations)
    old = await hasty.acquire([TAKEN])
    await until(lambda: is_free(client, TAKEN))
    new = await patient.acquire([TAKEN])

    await hasty.release(old.token, old.owned)

    assert await owner_of(client, TAKEN) == new.token
    assert await hasty.extend(old.token, old.owned) == frozenset()


async def test_fifty_keys_are_taken_and_released_in_one_call_each(
    client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(client, observed, durations, ttl_s=60.0)
    keys = [mapping_lock_key("1001", str(n)) for n in range(50)]
    await client.command("CONFIG RESETSTAT")

    async with manager.hold(keys) as held:
        assert held.owned == set(keys)
        assert await client.command("EXISTS", *keys) == 50

    assert await client.command("EXISTS", *keys) == 0
    stats = (await client.command("INFO", "commandstats"))["cmdstat_evalsha"]

    assert stats["calls"] - stats["failed_calls"] <= 2


async def test_a_key_named_twice_is_one_key(manager: LockManager) -> None:
    held = await manager.acquire([FREE, FREE])

    assert held.owned == {FREE}
    assert not held.taken


async def test_no_keys_are_held_without_asking_redis(manager: LockManager) -> None:
    async with manager.hold([]) as held:
        assert held.owned == frozenset()


async def test_every_lock_expires_by_itself(client: RedisClient, manager: LockManager) -> None:
    await manager.acquire([FREE])

    assert 0 < await client.command("PTTL", FREE) <= 5000


async def test_a_lock_held_longer_than_its_ttl_is_extended_until_its_work_is_done(
    client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(client, observed, durations, ttl_s=6.0)
    least_ms = 6000

    async def is_extended() -> bool:
        nonlocal least_ms
        left_ms = int(await client.command("PTTL", FREE))
        is_more = left_ms > least_ms
        least_ms = left_ms
        return is_more

    async with manager.hold([FREE]) as held:
        for _ in range(2):
            await until(is_extended)
        assert held.owned == {FREE}
        assert await owner_of(client, FREE) == held.token

    assert await owner_of(client, FREE) is None


async def test_a_lock_lost_while_held_drops_out_of_what_is_owned(
    client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(client, observed, durations, ttl_s=4.5)

    async with manager.hold([FREE, TAKEN]) as held:
        await client.command("SET", TAKEN, "thief")
        await until(lambda: TAKEN not in held.owned)
        assert held.owned == {FREE}

    assert await owner_of(client, TAKEN) == "thief"


async def test_a_failing_body_releases_its_locks(client: RedisClient, manager: LockManager) -> None:
    with pytest.raises(LookupError):
        async with manager.hold([FREE]):
            raise LookupError

    assert await owner_of(client, FREE) is None


async def test_a_cancelled_body_releases_its_locks(client: RedisClient, manager: LockManager) -> None:
    holding = asyncio.Event()

    async def work() -> None:
        async with manager.hold([FREE]):
            holding.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await holding.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await owner_of(client, FREE) is None


async def test_flushall_frees_keys_and_a_late_release_takes_nothing_from_the_next_owner(
    client: RedisClient, manager: LockManager
) -> None:
    async with manager.hold([FREE]):
        await client.command("FLUSHALL")
        next_owner = await manager.acquire([FREE])
        assert next_owner.owned == {FREE}

    assert await owner_of(client, FREE) == next_owner.token


async def test_script_flush_does_not_disturb_a_lock(client: RedisClient, manager: LockManager) -> None:
    async with manager.hold([FREE]) as held:
        await client.command("SCRIPT FLUSH")
        assert (await manager.acquire([FREE])).taken == {FREE}
        await client.command("SCRIPT FLUSH")
        assert await manager.extend(held.token, held.owned) == {FREE}
        await client.command("SCRIPT FLUSH")

    assert await owner_of(client, FREE) is None


async def test_free_keys_come_at_once_and_a_taken_one_when_its_owner_is_done(
    client: RedisClient, manager: LockManager, observed: Observed
) -> None:
    owner = await manager.acquire([TAKEN])
    seen: list[LockRound] = []

    async with aclosing(manager.rounds([FREE, TAKEN])) as rounds:
        async for lock_round in rounds:
            seen.append(lock_round)
            await manager.release(owner.token, owner.owned)

    assert seen == [
        LockRound(frozenset({FREE}), frozenset({FREE})),
        LockRound(frozenset({TAKEN}), frozenset({TAKEN})),
    ]
    assert observed.failures == 0
    assert await client.command("EXISTS", FREE, TAKEN) == 0


async def test_keys_taken_to_the_end_go_on_without_a_lock_and_count_as_failures(
    client: RedisClient, manager: LockManager, observed: Observed
) -> None:
    owner = await manager.acquire([TAKEN, "lock:mapping:1001:too"])
    observed.outcomes.clear()

    seen = await all_rounds(manager.rounds([FREE, TAKEN, "lock:mapping:1001:too"]))

    assert seen == [
        LockRound(frozenset({FREE}), frozenset({FREE})),
        LockRound(frozenset({TAKEN, "lock:mapping:1001:too"}), frozenset()),
    ]
    assert observed.failures == 2
    assert observed.outcomes == ["contended"] * 4  # at once and after each of the three waits
    assert await owner_of(client, TAKEN) == owner.token


@pytest.mark.parametrize(("retry_count", "tries"), [(0, 1), (1, 2), (4, 5)])
async def test_the_number_of_tries_follows_the_setting(
    client: RedisClient, observed: Observed, durations: Durations, retry_count: int, tries: int
) -> None:
    manager = manager_of(client, observed, durations, retry_count=retry_count)
    await client.command("SET", TAKEN, "another")

    await all_rounds(manager.rounds([TAKEN]))

    assert observed.outcomes == ["contended"] * tries


async def test_a_round_holds_its_keys_until_the_next_is_asked_for(
    client: RedisClient, manager: LockManager
) -> None:
    async with aclosing(manager.rounds([FREE])) as rounds:
        assert (await anext(rounds)).owned == {FREE}
        assert await owner_of(client, FREE) is not None

    assert await owner_of(client, FREE) is None


async def test_leaving_the_rounds_early_releases_what_is_held(
    client: RedisClient, manager: LockManager
) -> None:
    async def fail_in_the_first_round() -> None:
        async with aclosing(manager.rounds([FREE])) as rounds:
            async for _ in rounds:
                raise LookupError

    with pytest.raises(LookupError):
        await fail_in_the_first_round()

    assert await owner_of(client, FREE) is None


async def test_workers_that_contend_never_hold_one_key_together(
    client: RedisClient, observed: Observed, durations: Durations
) -> None:
    inside = 0
    most_inside = 0
    unlocked = 0

    async def work(keys: Sequence[str]) -> None:
        nonlocal inside, most_inside, unlocked
        manager = manager_of(client, observed, durations, retry_count=100)
        async with aclosing(manager.rounds(keys)) as rounds:
            async for lock_round in rounds:
                if not lock_round.owned:
                    unlocked += 1
                    continue
                inside += 1
                most_inside = max(most_inside, inside)
                await asyncio.sleep(0.002)
                inside -= 1

    await asyncio.gather(*(work([TAKEN]) for _ in range(10)))

    assert most_inside == 1
    assert unlocked == 0


async def test_without_redis_everything_goes_on_at_once_and_nothing_counts_as_contention(
    own_server: RedisServer, own_client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(own_client, observed, durations)
    own_server.kill()

    seen = await all_rounds(manager.rounds([FREE, TAKEN]))

    assert seen == [LockRound(frozenset({FREE, TAKEN}), frozenset())]
    assert observed.outcomes == ["unavailable"]
    assert observed.failures == 0


async def test_redis_killed_while_locks_are_held_and_restarted_empty_locks_again(
    own_server: RedisServer, own_client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(own_client, observed, durations, ttl_s=0.15)

    async with manager.hold([FREE]) as held:
        own_server.kill()
        without = await manager.acquire([FREE])
        assert (without.owned, without.taken, without.is_available) == (frozenset(), frozenset(), False)
        own_server.start()
        await until(lambda: not held.owned)  # the extender finds its key gone

    again = await manager.acquire([FREE])

    assert again.owned == {FREE}


async def test_contended_keys_go_on_at_once_when_redis_goes_away_while_they_wait(
    own_server: RedisServer, own_client: RedisClient, observed: Observed, durations: Durations
) -> None:
    manager = manager_of(own_client, observed, durations)
    await own_client.command("SET", TAKEN, "another")
    seen: list[LockRound] = []

    async with aclosing(manager.rounds([FREE, TAKEN])) as rounds:
        async for lock_round in rounds:
            seen.append(lock_round)
            own_server.kill()

    assert [lock_round.keys for lock_round in seen] == [{FREE}, {TAKEN}]
    assert observed.failures == 0
