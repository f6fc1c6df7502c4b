"""The guard around Redis: away is known once, costs nothing after that, and ends by itself."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from shared.coordination.client import RedisClient, RedisUnavailable, Script
from shared.durations import Durations
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

_ECHO = Script.of("return ARGV[1]")


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except RedisUnavailable:
        return "unavailable"
    return "done"


async def _is_reached(client: RedisClient) -> bool:
    return await outcome(client.ping()) == "done"


async def test_a_ping_tells_its_round_trip_in_milliseconds(client: RedisClient) -> None:
    assert 0 < await client.ping() < 1000


async def test_a_script_runs_and_runs_again_after_redis_forgot_it(client: RedisClient) -> None:
    assert await client.run_script(_ECHO, (), ("first",)) == b"first"

    await client.command("SCRIPT FLUSH")

    assert await client.run_script(_ECHO, (), ("second",)) == b"second"
    assert client.is_available


async def test_more_calls_at_once_than_connections_all_succeed(client: RedisClient) -> None:
    replies = await asyncio.gather(*(client.command("INCR", "n") for _ in range(500)))

    assert sorted(replies) == list(range(1, 501))


async def test_a_killed_redis_is_away_and_back_by_itself_when_restarted_empty(
    own_server: RedisServer, own_client: RedisClient
) -> None:
    await own_client.run_script(_ECHO, (), ("before",))

    own_server.kill()

    assert await outcome(own_client.ping()) == "unavailable"
    assert not own_client.is_available
    own_server.start()
    await until(lambda: own_client.is_available)

    assert await own_client.run_script(_ECHO, (), ("after",)) == b"after"


async def test_a_redis_that_was_never_there_is_away(own_server: RedisServer, durations: Durations) -> None:
    own_server.kill()
    client = RedisClient(own_server.url, durations)

    assert await outcome(client.ping()) == "unavailable"
    assert not client.is_available
    await client.close()


async def test_a_stopped_redis_costs_one_deadline_and_then_nothing(
    own_server: RedisServer, durations: Durations
) -> None:
    client = RedisClient(own_server.url, replace(durations, redis_call_s=0.2, redis_probe_s=0.2))
    await until(lambda: _is_reached(client))
    own_server.pause()
    assert await outcome(client.ping()) == "unavailable"

    clock = asyncio.get_running_loop().time
    started_at = clock()
    outcomes = {await outcome(client.ping()) for _ in range(1000)}
    thousand_calls_s = clock() - started_at

    assert outcomes == {"unavailable"}
    assert thousand_calls_s < 1000 * 0.2 / 10  # far less than a deadline each
    own_server.resume()
    await until(lambda: _is_reached(client))
    await client.close()


async def test_calls_in_flight_when_redis_stops_all_end(
    own_server: RedisServer, own_client: RedisClient
) -> None:
    own_server.pause()

    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*(outcome(own_client.ping()) for _ in range(200)))

    assert set(outcomes) == {"unavailable"}
    own_server.resume()
    await until(lambda: own_client.is_available)

    assert await own_client.command("INCRBY", "n", 3) == 3


async def test_while_redis_is_away_it_is_probed_only_now_and_then(
    own_server: RedisServer, durations: Durations
) -> None:
    class Noting(RedisClient):
        async def _takes_writes(self) -> bool:
            try:
                return await super()._takes_writes()
            finally:
                probed.set()

    probed = asyncio.Event()
    client = Noting(own_server.url, replace(durations, redis_probe_s=3600))
    own_server.kill()
    await outcome(client.ping())
    await probed.wait()  # the first follows the failure at once
    own_server.start()

    await asyncio.sleep(0.2)  # time for many probes more
    assert await outcome(client.ping()) == "unavailable"
    await client.close()


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        (("CONFIG SET", "maxmemory", "1"), ("CONFIG SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "a read-only replica"],
)
async def test_a_redis_that_takes_no_writes_is_away_although_it_answers_pings(
    own_client: RedisClient,
    own_server: RedisServer,
    durations: Durations,
    breaking: tuple[str, ...],
    mending: tuple[str, ...],
) -> None:
    operator = RedisClient(own_server.url, durations)
    await operator.command(*breaking)

    assert await outcome(own_client.command("SET", "key", "value")) == "unavailable"

    await asyncio.sleep(0.2)  # several probes
    assert not own_client.is_available
    assert await outcome(operator.ping()) == "done"
    await operator.command(*mending)
    await until(lambda: own_client.is_available)
    await operator.close()


async def test_a_refused_call_is_unavailable_but_redis_is_not_away(client: RedisClient) -> None:
    await client.command("SET", "text", "abc")

    assert await outcome(client.command("INCR", "text")) == "unavailable"

    assert client.is_available


async def test_credentials_and_keys_stay_out_of_errors_and_logs(
    own_server: RedisServer, durations: Durations, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = RedisClient(own_server.url.replace("redis://", "redis://user:hunter2@"), durations)

    with pytest.raises(RedisUnavailable) as wrong_password:
        await client.command("GET", "lock:mapping:1:4915112345678")

    said = f"{wrong_password.value} {caplog.text}"
    assert "hunter2" not in said
    assert "4915112345678" not in said
    await client.close()


async def test_close_does_not_wait_for_a_stopped_redis(own_server: RedisServer, durations: Durations) -> None:
    client = RedisClient(own_server.url, durations)
    await client.ping()
    own_server.pause()
    await outcome(client.ping())

    closing = asyncio.create_task(client.close())

    closed, _ = await asyncio.wait({closing}, timeout=10)

    assert closing in closed


async def test_a_call_that_its_caller_cancels_leaves_the_client_well(client: RedisClient) -> None:
    for _ in range(100):
        call = asyncio.create_task(client.command("BLPOP", "nothing", "0.5"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert client.is_available
    assert await client.command("INCR", "n") == 1
