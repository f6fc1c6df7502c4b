"""The limiter of a sender: queues in the process, shared rates in Redis, its own part without it."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from shared.coordination.client import RedisClient
from shared.coordination.permits import Ask, Granted, LimitCause, Permit, TooLong, Wait, bucket_of, rate_of
from shared.coordination.rate import RateLimiter
from shared.durations import DURATIONS, Durations
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

NUMBER = "106540352242922"


@dataclass
class Observed:
    """Observed waits by lane."""

    waits_s: list[tuple[str, float]] = field(default_factory=list)

    def wait(self, lane: str, seconds: float) -> None:
        self.waits_s.append((lane, seconds))


def limiter_of(client: RedisClient, durations: Durations, observed: Observed | None = None) -> RateLimiter:
    return RateLimiter(client, observe_wait=(observed or Observed()).wait, durations=durations)


@pytest.fixture
def limiter(client: RedisClient, durations: Durations) -> RateLimiter:
    return limiter_of(client, durations)


async def test_a_number_with_a_colon_shares_no_key_with_a_customer_of_another(
    client: RedisClient, limiter: RateLimiter
) -> None:
    """A publisher may name any number; 1001:491700000001 is not the pair of 1001 and this customer."""
    for number, customer in (("1001", "491700000001"), ("1001:491700000001", "491700000002")):
        assert isinstance(await limiter.wait(number, customer, "reply", 80, 1.0), Permit | Granted)
    keys = await client.command("KEYS", "rate:*")

    assert len(keys) == 4


@dataclass
class Sends:
    """When each permit was asked for and had, by the test's clock: the decision lies between."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    lanes: Counter[str] = field(default_factory=Counter)

    async def send(self, limiter: RateLimiter, customer: str, lane: str, mps: float) -> bool:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        answer = await limiter.wait(NUMBER, customer, lane, mps, 20.0)
        if isinstance(answer, TooLong):
            return False
        self.spans.append((asked_at, clock()))
        self.lanes[lane] += 1
        return True

    def keep_to(self, mps: float) -> bool:
        """Whether every run of permits is within bucket and rate, however this test itself is delayed."""
        spans = sorted(self.spans, key=lambda span: span[1])
        most, rate = bucket_of(mps, DURATIONS), rate_of(mps, DURATIONS)
        for last, (_, had_at) in enumerate(spans):
            asked_at = had_at
            for first in range(last, -1, -1):
                asked_at = min(asked_at, spans[first][0])
                if last - first + 1 > most + rate * (had_at - asked_at) + 1e-3:
                    return False
        return True


async def test_four_processes_together_keep_to_the_allowance(
    client: RedisClient, durations: Durations
) -> None:
    sends = Sends()
    limiters = [limiter_of(client, durations) for _ in range(4)]
    clock = asyncio.get_running_loop().time
    started_at = clock()

    async def work(turn: int) -> None:
        for n in range(50):
            assert await sends.send(limiters[turn % 4], f"customer {turn} {n}", "bulk", 100)

    await asyncio.gather(*(work(turn) for turn in range(8)))

    took_s = clock() - started_at

    assert len(sends.spans) == 400
    assert sends.keep_to(100)
    assert took_s >= (400 - bucket_of(100, DURATIONS)) / 90


async def test_replies_overtake_bulk_which_still_gets_its_tenth(
    client: RedisClient, durations: Durations
) -> None:
    sends = Sends()
    # a claim outlasts what a busy machine holds up its owner
    limiters = [limiter_of(client, replace(durations, lane_return_s=2.0)) for _ in range(2)]
    stopped = False

    async def work(limiter: RateLimiter, lane: str) -> None:
        n = 0
        while not stopped:
            n += 1
            await sends.send(limiter, f"{lane} {id(limiter)} {n}", lane, 200)

    tasks = [
        asyncio.create_task(work(each, lane))
        for each in limiters
        for lane in (*["reply"] * 6, "bulk", "utility")
    ]
    await until(lambda: sends.lanes.total() >= 400)
    stopped = True
    await asyncio.gather(*tasks)

    assert sends.lanes["bulk"] >= 0.08 * sends.lanes.total()
    assert sends.lanes["utility"] >= 0.08 * sends.lanes.total()
    assert sends.lanes["reply"] >= 0.7 * sends.lanes.total()


async def test_messages_of_a_lane_go_in_the_order_in_which_they_came(limiter: RateLimiter) -> None:
    gone: list[int] = []

    async def send(n: int) -> None:
        assert isinstance(await limiter.wait(NUMBER, f"customer {n}", "reply", 100, 20), Granted)
        gone.append(n)

    await asyncio.gather(*(send(n) for n in range(60)))

    assert gone == list(range(60))


async def test_of_a_queue_only_the_head_asks_redis(client: RedisClient, limiter: RateLimiter) -> None:
    await client.command("CONFIG RESETSTAT")

    await asyncio.gather(*(limiter.wait(NUMBER, str(n), "reply", 100, 20) for n in range(60)))

    calls = (await client.command("INFO", "commandstats"))["cmdstat_evalsha"]["calls"]

    assert 0 < calls <= 3 * 60  # at most one that is granted, and about one that waits for the token


async def test_a_customer_at_the_limit_waits_aside_and_holds_nobody_up(
    client: RedisClient, durations: Durations
) -> None:
    limiter = limiter_of(client, replace(durations, pair_burst=2, pair_interval_s=2.0))
    for _ in range(2):
        assert isinstance(await limiter.wait(NUMBER, "eager", "reply", 1000), Granted)
    order: list[str] = []

    async def send(customer: str) -> None:
        assert isinstance(await limiter.wait(NUMBER, customer, "reply", 1000, 20), Granted)
        order.append(customer)

    await asyncio.gather(send("eager"), *(send(f"other {n}") for n in range(20)))

    assert order[-1] == "eager"
    assert len(order) == 21


async def test_a_burst_to_one_customer_goes_and_the_next_is_too_long_to_hold(
    limiter: RateLimiter, durations: Durations
) -> None:
    for _ in range(durations.pair_burst):
        assert isinstance(await limiter.wait(NUMBER, "customer", "reply", 1000), Granted)

    answer = await limiter.wait(NUMBER, "customer", "reply", 1000)

    assert isinstance(answer, TooLong)
    assert answer.cause is LimitCause.PAIR
    assert durations.held_in_hand_s < answer.wait_s <= durations.pair_interval_s


async def test_after_its_burst_a_customer_gets_one_message_in_each_interval(
    client: RedisClient, durations: Durations
) -> None:
    limiter = limiter_of(client, replace(durations, pair_burst=3, pair_interval_s=0.1))
    clock = asyncio.get_running_loop().time
    started_at = clock()

    granted = [await limiter.wait(NUMBER, "customer", "reply", 1000, 20) for _ in range(10)]

    assert all(isinstance(answer, Granted) for answer in granted)
    assert clock() - started_at >= 7 * 0.1


async def test_a_slowed_number_is_too_long_at_once_and_other_numbers_are_not(
    limiter: RateLimiter, durations: Durations
) -> None:
    await limiter.slow(NUMBER, 30.0)

    answer = await limiter.wait(NUMBER, "customer", "reply", 80)

    assert isinstance(answer, TooLong)
    assert answer.cause is LimitCause.SLOWED
    assert 20 < answer.wait_s <= 30
    assert isinstance(await limiter.wait("another number", "customer", "reply", 80), Granted)


async def test_a_number_slowed_for_a_moment_is_waited_for(limiter: RateLimiter) -> None:
    clock = asyncio.get_running_loop().time
    started_at = clock()
    await limiter.slow(NUMBER, 0.2)

    answer = await limiter.wait(NUMBER, "customer", "reply", 80, 20)

    assert isinstance(answer, Granted)
    assert clock() - started_at >= 0.19


async def test_a_customer_backed_off_by_one_process_waits_in_all(
    client: RedisClient, limiter: RateLimiter, durations: Durations
) -> None:
    await limiter.back_off_pair(NUMBER, "customer", 2)
    other = limiter_of(client, durations)

    answer = await other.wait(NUMBER, "customer", "reply", 80)

    assert isinstance(answer, TooLong)
    assert answer.cause is LimitCause.PAIR
    assert 10 < answer.wait_s <= 16
    assert isinstance(await other.wait(NUMBER, "another", "reply", 80), Granted)


async def test_who_asks_in_vain_is_told_so_in_time(client: RedisClient, durations: Durations) -> None:
    """Of sixteen processes each has one that may ask: while it may wait, the number sends ten."""
    limiters = [limiter_of(client, replace(durations, held_in_hand_s=0.5)) for _ in range(16)]
    turns = [(limiter, f"{place} {n}") for n in (1, 2) for place, limiter in enumerate(limiters)]

    answers = await asyncio.gather(
        *(limiter.wait(NUMBER, customer, "bulk", 20) for limiter, customer in turns)
    )

    granted = [answer for answer in answers if isinstance(answer, Granted)]
    too_long = [answer for answer in answers if isinstance(answer, TooLong)]
    assert granted
    assert len(too_long) >= 6
    assert all(answer.cause is LimitCause.NUMBER and answer.wait_s >= 0.5 for answer in too_long)
    await until(lambda: not any(limiter._queues for limiter in limiters))  # none is kept that is empty


async def test_the_time_of_who_may_not_ask_yet_does_not_run(
    limiter: RateLimiter, durations: Durations
) -> None:
    """A hundred wait longer for the number, which sends 36 a second, than one of them may."""
    assert durations.held_in_hand_s * 36 < 80

    answers = await asyncio.gather(*(limiter.wait(NUMBER, str(n), "bulk", 40) for n in range(100)))

    assert [type(answer) for answer in answers] == [Granted] * 100
    await until(lambda: not limiter._queues)


async def test_who_stands_behind_a_patient_head_is_told_in_time(limiter: RateLimiter) -> None:
    await limiter.slow(NUMBER, 30.0)
    patient = asyncio.create_task(limiter.wait(NUMBER, "patient", "reply", 80, 100))
    await asyncio.sleep(0)

    answer = await limiter.wait(NUMBER, "hasty", "reply", 80, 0.1)

    assert isinstance(answer, TooLong)
    assert not patient.done()
    patient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await patient


async def test_a_cancelled_waiter_leaves_its_place_to_the_next(limiter: RateLimiter) -> None:
    while isinstance(await limiter.wait(NUMBER, "busy", "reply", 2, 0), Granted):
        pass
    head = asyncio.create_task(limiter.wait(NUMBER, "head", "reply", 2, 20))
    second = asyncio.create_task(limiter.wait(NUMBER, "second", "reply", 2, 20))
    await asyncio.sleep(0.05)

    head.cancel()

    assert isinstance(await second, Granted)
    with pytest.raises(asyncio.CancelledError):
        await head


async def test_every_wait_is_observed_by_its_lane(client: RedisClient, durations: Durations) -> None:
    observed = Observed()
    limiter = limiter_of(client, durations, observed)

    await limiter.wait(NUMBER, "customer", "utility", 80)
    await limiter.slow(NUMBER, 30.0)
    await limiter.wait(NUMBER, "customer", "bulk", 80)

    assert [lane for lane, _ in observed.waits_s] == ["utility", "bulk"]


async def test_flushall_and_script_flush_do_not_stop_the_limiter(
    client: RedisClient, limiter: RateLimiter
) -> None:
    for command in ("FLUSHALL", "SCRIPT FLUSH"):
        assert isinstance(await limiter.wait(NUMBER, "customer", "reply", 80), Granted)
        await client.command(command)

    assert isinstance(await limiter.wait(NUMBER, "customer", "reply", 80), Granted)


async def test_without_redis_a_process_sends_its_part_and_keeps_the_rules(
    own_server: RedisServer, own_client: RedisClient, durations: Durations
) -> None:
    limiter = limiter_of(own_client, replace(durations, pair_burst=2))
    limiter.set_consumers(4)
    own_server.kill()
    sends = Sends()

    await asyncio.gather(*(sends.send(limiter, str(n), "reply", 400) for n in range(100)))

    assert len(sends.spans) == 100
    assert sends.keep_to(100)
    await limiter.slow(NUMBER, 30.0)
    await limiter.back_off_pair("another number", "customer", 2)
    slowed = await limiter.wait(NUMBER, "customer", "reply", 400)
    backed_off = await limiter.wait("another number", "customer", "reply", 400)

    assert isinstance(slowed, TooLong)
    assert slowed.cause is LimitCause.SLOWED
    assert isinstance(backed_off, TooLong)
    assert backed_off.cause is LimitCause.PAIR


async def test_redis_killed_and_restarted_empty_is_used_again(
    own_server: RedisServer, own_client: RedisClient, durations: Durations
) -> None:
    limiter = limiter_of(own_client, durations)
    await limiter.slow(NUMBER, 30.0)
    own_server.kill()
    assert isinstance(await limiter.wait(NUMBER, "customer", "reply", 80, 20), Granted)

    own_server.start()
    await until(lambda: own_client.is_available)

    assert isinstance(await limiter.wait(NUMBER, "customer", "reply", 80, 20), Granted)
    assert await own_client.command("EXISTS", f"rate:number:{NUMBER}") == 1


async def test_a_stopped_redis_does_not_hold_up_sending(
    own_server: RedisServer, durations: Durations
) -> None:
    client = RedisClient(own_server.url, replace(durations, redis_call_s=0.2, redis_probe_s=1.0))
    limiter = limiter_of(client, durations)
    own_server.pause()

    answers = await asyncio.gather(*(limiter.wait(NUMBER, str(n), "reply", 1000, 20) for n in range(50)))

    assert all(isinstance(answer, Granted) for answer in answers)  # while it is stopped, and stays so
    await client.close()


async def test_a_single_question_tells_the_wait(limiter: RateLimiter) -> None:
    ask = Ask(NUMBER, "customer", "reply", 1, 2.0)

    assert await limiter.permit(ask) == Permit()

    answer = await limiter.permit(ask)

    assert isinstance(answer, Wait)
    assert 0 < answer.wait_s <= 1 / 0.9
