"""The rules of the rates, in both implementations, on a virtual clock: so to the permit, not about."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.coordination.permits import LANES, LimitCause, Permit, Wait
from shared.durations import DURATIONS, Durations
from tests.integration.coordination.rates import ClockedClient, Crowd, Rates
from tests.support.redis_server import RedisServer


@pytest.fixture
async def clocked(steady_server: RedisServer, durations: Durations) -> AsyncIterator[ClockedClient]:
    client = ClockedClient(steady_server.url, replace(durations, redis_call_s=30.0))
    await client.command("FLUSHALL")
    yield client
    await client.close()


@pytest.fixture(params=["shared", "local"])
def rates(request: pytest.FixtureRequest, clocked: ClockedClient) -> Rates:
    return Rates(request.param, clocked, DURATIONS)


def is_wait(answer: Permit | Wait, wait_s: float, cause: LimitCause) -> bool:
    return rounded(answer) == (cause, pytest.approx(wait_s))


@pytest.mark.parametrize("mps", [1, 2, 5, 10, 11, 20, 80, 250])
async def test_no_second_exceeds_the_allowance_and_nine_tenths_of_it_are_used(rates: Rates, mps: int) -> None:
    crowd = Crowd(rates, mps)

    await crowd.send_for(5, ["reply"])
    rates.clock.pass_s(10)  # the bucket fills
    await crowd.send_for(5, ["reply", "bulk"])

    assert crowd.most_in_a_second() <= mps
    assert 0.97 * 0.9 * mps * 10 - 1 <= crowd.total <= 0.9 * mps * 10 + 0.1 * mps + 2


async def test_a_number_of_its_own_rate_is_not_held_up_by_another(rates: Rates) -> None:
    while await rates.permit("a", number="busy") == Permit():
        rates.clock.pass_s(0.0001)

    assert await rates.permit("a", number="idle") == Permit()


async def test_replies_come_first_and_waiting_lanes_get_a_tenth_each(rates: Rates) -> None:
    crowd = Crowd(rates, 80)

    await crowd.send_for(20, ["reply", "reply", "utility", "bulk"])

    assert crowd.count("utility") >= crowd.total / 10 - 2
    assert crowd.count("bulk") >= crowd.total / 10 - 2
    assert crowd.count("reply") >= 0.79 * crowd.total
    assert crowd.total >= 0.97 * 72 * 20


async def test_a_crowd_of_bulk_senders_takes_nothing_from_replies(rates: Rates) -> None:
    crowd = Crowd(rates, 80)

    await crowd.send_for(10, ["bulk"] * 10 + ["reply"])

    assert crowd.total / 10 - 2 <= crowd.count("bulk") <= 0.11 * crowd.total


async def test_without_replies_utility_comes_before_bulk(rates: Rates) -> None:
    crowd = Crowd(rates, 80)

    await crowd.send_for(10, ["utility", "bulk"])

    assert crowd.total / 10 - 2 <= crowd.count("bulk") <= 0.11 * crowd.total


@pytest.mark.parametrize("lane", LANES)
async def test_a_lane_alone_gets_everything(rates: Rates, lane: str) -> None:
    crowd = Crowd(rates, 80)

    await crowd.send_for(10, [lane])

    assert crowd.total >= 0.97 * 72 * 10


async def test_what_replies_leave_goes_to_the_lower_lanes(rates: Rates) -> None:
    """Replies at a tenth of the rate, bulk without end: the number is used to the full."""
    crowd = Crowd(rates, 80)

    for n in range(200):
        assert await wait_for_permit(rates, f"agent {n}", longest_s=0.05)
        await crowd.send_for(0.1, ["bulk"])

    assert crowd.total + 200 >= 0.95 * 72 * 20


async def wait_for_permit(rates: Rates, customer: str, longest_s: float) -> bool:
    waited_s = 0.0
    while isinstance(answer := await rates.permit(customer), Wait):
        waited_s += answer.wait_s
        rates.clock.pass_s(answer.wait_s)
        if waited_s > longest_s:
            return False
    return True


@pytest.mark.parametrize("mps", [1, 5, 80])
async def test_a_lane_that_stops_waiting_holds_nobody_up_for_long(rates: Rates, mps: int) -> None:
    while await rates.permit("busy", lane="reply", mps=mps) == Permit():
        pass
    answer = await rates.permit("gone", lane="reply", mps=mps)
    assert isinstance(answer, Wait)

    rates.clock.pass_s(answer.wait_s + 0.2)  # it does not come back

    assert await rates.permit("next", lane="bulk", mps=mps) == Permit()


async def test_one_who_will_not_come_back_leaves_no_claim(rates: Rates) -> None:
    while await rates.permit("busy", mps=5, patience_s=0) == Permit():
        pass
    answer = await rates.permit("impatient", lane="reply", mps=5, patience_s=0.01)
    assert isinstance(answer, Wait)

    rates.clock.pass_s(answer.wait_s)

    assert await rates.permit("next", lane="bulk", mps=5) == Permit()


async def test_a_slow_number_gives_bulk_its_tenth_although_nobody_waits_that_long(rates: Rates) -> None:
    """At 1 mps a tenth is one in 11 s, more than any message is held: it comes back for it later."""
    granted = {"reply": 0, "bulk": 0}

    for n in range(2400):  # 240 s: replies wait all the time, bulk 2 s in 5 s
        for lane in ("reply", "bulk") if n % 50 < 20 else ("reply",):
            if await rates.permit(f"{lane} {n}", lane=lane, mps=1) == Permit():
                granted[lane] += 1
        rates.clock.pass_s(0.1)

    assert granted["bulk"] >= 0.08 * sum(granted.values())
    assert granted["reply"] >= 0.75 * sum(granted.values())


async def test_one_customer_gets_a_burst_of_45_and_then_one_in_six_seconds(rates: Rates) -> None:
    burst = [await permit_after(rates, 0.02) for _ in range(46)]
    assert burst[:45] == [Permit()] * 45
    assert isinstance(burst[45], Wait)
    assert burst[45].cause is LimitCause.PAIR
    assert burst[45].wait_s == pytest.approx(6 - 45 * 0.02)

    assert await rates.permit("another customer") == Permit()
    rates.clock.pass_s(burst[45].wait_s)
    then = [await permit_after(rates, 1.0) for _ in range(60)]

    assert then.count(Permit()) == 10


async def permit_after(rates: Rates, seconds: float) -> Permit | Wait:
    answer = await rates.permit("customer")
    rates.clock.pass_s(seconds)
    return answer


async def test_a_customer_at_the_limit_uses_none_of_the_numbers_rate(rates: Rates) -> None:
    for _ in range(46):
        await permit_after(rates, 0.02)
    crowd = Crowd(rates, 80)

    rates.clock.pass_s(1)
    for _ in range(100):
        assert isinstance(await rates.permit("customer"), Wait)
    await crowd.send_for(1, ["bulk"])

    assert crowd.total >= 72


async def test_a_refused_number_stops_as_long_as_the_platform_says(rates: Rates) -> None:
    assert await rates.permit() == Permit()

    await rates.slow(3.0)

    assert is_wait(await rates.permit("reply"), 3.0, LimitCause.SLOWED)
    rates.clock.pass_s(2.9)
    assert isinstance(await rates.permit("reply"), Wait)
    rates.clock.pass_s(0.2)

    assert await rates.permit("reply") == Permit()


async def test_a_refused_number_goes_on_at_half_its_rate_and_recovers_in_a_minute(rates: Rates) -> None:
    await rates.slow(0.0)
    after, later, recovered = Crowd(rates, 80), Crowd(rates, 80), Crowd(rates, 80)

    await after.send_for(2, ["reply"])
    rates.clock.pass_s(10)
    await later.send_for(2, ["reply"])
    rates.clock.pass_s(20)
    await recovered.send_for(2, ["reply"])

    assert 0.48 * 72 * 2 <= after.total <= 0.55 * 72 * 2 + 10
    assert 0.65 * 72 * 2 <= later.total <= 0.75 * 72 * 2 + 10
    assert recovered.total >= 0.95 * 72 * 2


async def test_a_wait_at_a_cut_rate_says_that_the_number_was_slowed(rates: Rates) -> None:
    await rates.slow(0.0)
    while not isinstance(answer := await rates.permit(), Wait):
        pass

    assert answer.cause is LimitCause.SLOWED


async def test_refusals_without_end_leave_a_tenth_of_the_rate(rates: Rates) -> None:
    for _ in range(20):
        await rates.slow(0.0)
        rates.clock.pass_s(0.001)
    crowd = Crowd(rates, 80)

    await crowd.send_for(2, ["reply"])

    assert 0.1 * 72 * 2 <= crowd.total <= 0.14 * 72 * 2 + 10


async def test_refusals_of_messages_in_flight_together_cut_the_rate_once(rates: Rates) -> None:
    for _ in range(20):
        await rates.slow(1.0)
    rates.clock.pass_s(1.0)
    crowd = Crowd(rates, 80)

    await crowd.send_for(2, ["reply"])

    assert crowd.total >= 0.48 * 72 * 2


async def test_stops_double_while_refusals_of_the_lowest_rate_go_on(rates: Rates) -> None:
    stops = []
    for _ in range(13):
        await rates.slow(None)
        answer = await rates.permit()
        assert isinstance(answer, Wait)
        stops.append(round(answer.wait_s, 3))
        rates.clock.pass_s(answer.wait_s + 0.001)

    assert stops == [0.3, 0.3, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 76.8, 153.6, 300]
    rates.clock.pass_s(60)  # recovered
    await rates.slow(None)

    assert is_wait(await rates.permit(), 0.3, LimitCause.SLOWED)


async def test_a_platform_with_a_lower_limit_is_found_again_and_again_without_long_stops(
    rates: Rates,
) -> None:
    stops = []
    for _ in range(12):
        await rates.slow(None)
        answer = await rates.permit()
        assert isinstance(answer, Wait)
        stops.append(round(answer.wait_s, 3))
        rates.clock.pass_s(answer.wait_s + 5)  # it grows until it meets the limit

    assert stops == [0.3] * 12


@pytest.mark.parametrize(("n", "pause_s"), [(0, 1), (1, 4), (2, 16), (3, 64), (4, 256), (5, 256)])
async def test_a_refused_pair_waits_4_to_the_n_alone_and_has_no_burst_after_it(
    rates: Rates, n: int, pause_s: int
) -> None:
    await rates.back_off_pair("customer", n)

    assert is_wait(await rates.permit("customer"), pause_s, LimitCause.PAIR)
    assert await rates.permit("another") == Permit()
    rates.clock.pass_s(pause_s)
    assert await rates.permit("customer") == Permit()
    rates.clock.pass_s(1)

    assert is_wait(await rates.permit("customer"), 5, LimitCause.PAIR)


async def test_a_redis_whose_clock_is_set_back_goes_on(clocked: ClockedClient) -> None:
    """A failover to a server whose clock is an hour behind."""
    rates = Rates("shared", clocked, DURATIONS)
    crowd = Crowd(rates, 80)
    await crowd.send_for(1, ["reply", "utility", "bulk"])
    await rates.permit("customer")
    await rates.slow(0.0)
    before = crowd.total

    rates.clock.pass_s(-3600)
    await crowd.send_for(5, ["bulk"])
    answer = await rates.permit("customer")

    assert crowd.total - before >= 0.45 * 72 * 5
    assert answer == Permit() or (isinstance(answer, Wait) and answer.wait_s <= 256)


async def test_state_of_the_shared_rates_goes_away_by_itself(clocked: ClockedClient) -> None:
    rates = Rates("shared", clocked, DURATIONS)
    await rates.permit("customer")
    await rates.slow(30.0)
    await rates.back_off_pair("another", 2)

    keys = await clocked.command("KEYS", "*")
    lives_ms = [await clocked.command("PTTL", key) for key in keys]

    assert len(keys) == 3
    assert all(0 < life_ms <= 600_000 for life_ms in lives_ms)


async def test_the_local_rates_forget_customers_who_are_free_again(clocked: ClockedClient) -> None:
    rates = Rates("local", clocked, DURATIONS)
    for n in range(20_000):
        await rates.permit(f"customer {n}")
        rates.clock.pass_s(0.02)

    assert len(rates.local._pairs) < 5000


@pytest.mark.parametrize("consumers", [2, 4])
async def test_processes_that_know_only_themselves_keep_within_the_allowance_together(
    clocked: ClockedClient, consumers: int
) -> None:
    crowd_total = 0
    pair_total = 0
    for _ in range(consumers):
        rates = Rates("local", clocked, DURATIONS)
        rates.local.consumers = consumers
        crowd = Crowd(rates, 80)
        await crowd.send_for(10, ["reply"])
        crowd_total += crowd.total
        pair_total += [await permit_after(rates, 0.2) for _ in range(60)].count(Permit())

    assert 0.95 * 72 * 10 <= crowd_total <= 72 * 10 + 8 + 2 * consumers
    assert pair_total <= 45 + 2 + consumers


Step = tuple[str, int, int, str, int]
_steps = st.lists(
    st.tuples(
        st.sampled_from(["permit"] * 12 + ["slow", "back off"]),
        # A prime number of microseconds, so that no step falls on a limit to the microsecond.
        st.integers(0, 400).map(lambda n: n * 1237),
        st.integers(0, 2),
        st.sampled_from(LANES),
        st.sampled_from([0, 1, 3]),
    ),
    max_size=60,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_steps, mps=st.sampled_from([1, 10, 33, 80]))
def test_both_implementations_give_the_same_answers(
    steady_server: RedisServer, steps: list[Step], mps: int
) -> None:
    durations = replace(DURATIONS, pair_burst=4, pair_interval_s=0.5, redis_call_s=30.0)

    async def answers(kind: str) -> list[Permit | Wait | None]:
        client = ClockedClient(steady_server.url, durations)
        await client.command("FLUSHALL")
        rates = Rates(kind, client, durations)
        given = [await take(rates, step, mps) for step in steps]
        await client.close()
        return given

    shared, local = asyncio.run(answers("shared")), asyncio.run(answers("local"))

    assert [rounded(answer) for answer in shared] == [rounded(answer) for answer in local]


async def take(rates: Rates, step: Step, mps: int) -> Permit | Wait | None:
    operation, after_us, customer, lane, n = step
    rates.clock.now_us += after_us
    match operation:
        case "slow":
            await rates.slow(n / 10 if n else None)
        case "back off":
            await rates.back_off_pair(str(customer), n)
        case _:
            return await rates.permit(str(customer), lane=lane, mps=mps)
    return None


def rounded(answer: Permit | Wait | None) -> object:
    if isinstance(answer, Wait):
        return answer.cause, pytest.approx(answer.wait_s, abs=1e-4)
    return answer
