"""The verdict on a worker: healthy, degraded, unhealthy; live; ready."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.observability.health import Check, Health, Probe, Verdict, WorkerState, judge
from shared.observability.metrics import Metrics


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    """A probe that does what it is told."""

    name: str
    answer: Check | Exception
    essential: bool = True

    async def check(self) -> Check:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Silence:
    """A probe whose server never answers."""

    name: str
    essential: bool = True

    async def check(self) -> Check:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@dataclass
class Lingering:
    """A probe whose client takes its time to give up: until it is told that it may end."""

    name: str
    may_end: asyncio.Event
    essential: bool = True

    async def check(self) -> Check:
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()
        raise AssertionError("unreachable")


def well(name: str, *, essential: bool = True) -> Answer:
    return Answer(name, Check("ok", latency_ms=1.0), essential)


def ill(name: str, *, essential: bool = True) -> Answer:
    return Answer(name, Check("error", error="refused"), essential)


def started(clock: Callable[[], float] | None = None) -> WorkerState:
    state = WorkerState("scheduler", Metrics(), stall_after_s=60, clock=clock or Clock())
    state.not_ready.discard(WorkerState.STARTING)
    return state


async def judged(*probes: Probe, state: WorkerState | None = None) -> Verdict:
    return await judge(state or started(), probes)


async def test_all_well_is_healthy_and_ready() -> None:
    verdict = await judged(well("database"), well("redis", essential=False))

    assert (verdict.health, verdict.ready, verdict.reasons) == (Health.HEALTHY, True, [])


async def test_an_essential_server_away_is_unhealthy_and_not_ready() -> None:
    verdict = await judged(ill("database"), well("redis", essential=False))

    assert (verdict.health, verdict.ready) == (Health.UNHEALTHY, False)
    assert verdict.reasons == ["database check failed"]
    assert verdict.checks["database"].error == "refused"


async def test_another_server_away_is_degraded_and_ready() -> None:
    verdict = await judged(well("database"), ill("redis", essential=False))

    assert (verdict.health, verdict.ready) == (Health.DEGRADED, True)


async def test_a_check_that_fails_is_an_error_without_credentials() -> None:
    verdict = await judged(Answer("redis", OSError("no route to redis://:hunter2@host/0"), essential=False))

    assert verdict.checks["redis"].error == "OSError: no route to redis://***@host/0"


async def test_checks_that_never_answer_are_errors_and_run_at_once() -> None:
    probes = [Silence(f"server{number}") for number in range(20)]

    async with asyncio.timeout(10):  # one after the other they would take 20 s
        verdict = await judged(*probes)

    assert {check.error for check in verdict.checks.values()} == {"no answer within 1 s"}


async def test_a_check_that_is_slow_to_give_up_holds_up_no_verdict() -> None:
    """As asyncpg is, on a connection that answers nothing: it asks the server to cancel, and waits."""
    may_end = asyncio.Event()

    verdict = await judged(Lingering("database", may_end))

    assert verdict.checks["database"].error == "no answer within 1 s"
    may_end.set()


async def test_the_verdict_measures_a_check_that_does_not_measure_itself() -> None:
    verdict = await judged(Answer("rabbitmq", Check("ok", queue_depth=7)))

    assert verdict.checks["rabbitmq"].latency_ms is not None
    assert verdict.checks["rabbitmq"].queue_depth == 7


async def test_a_starting_worker_is_live_and_not_ready() -> None:
    state = WorkerState("scheduler", Metrics(), clock=Clock())

    verdict = await judged(state=state)

    assert (verdict.health, verdict.ready, state.live) == (Health.DEGRADED, False, True)
    assert verdict.reasons == ["starting"]


async def test_a_worker_with_a_degraded_reason_is_ready() -> None:
    state = started()
    state.degraded.add("no scheduler")

    verdict = await judged(state=state)

    assert (verdict.health, verdict.ready, verdict.reasons) == (Health.DEGRADED, True, ["no scheduler"])


async def test_consuming_that_stalls_without_a_reason_is_not_live() -> None:
    clock = Clock()
    state = started(clock)

    clock.now = 60
    assert state.live
    clock.now = 60.1
    assert not state.live
    assert (await judged(state=state)).health is Health.UNHEALTHY
    state.progress()

    assert state.live


async def test_a_known_reason_excuses_a_stall_until_it_is_gone() -> None:
    clock = Clock()
    state = started(clock)
    state.stall_reasons.add("PostgreSQL is away")

    clock.now = 1000
    assert state.live
    state.stall_reasons.discard("PostgreSQL is away")

    assert not state.live


async def test_what_is_known_of_one_loop_excuses_no_other() -> None:
    clock = Clock()
    state = started(clock)
    state.progress("braking")
    state.progress("hung")
    state.loop_stall_reasons["braking"].add("unexpected errors run wild")

    clock.now = 61
    assert not state.live
    state.progress("hung")
    assert state.live
    state.loop_stall_reasons["braking"].clear()

    assert not state.live


def test_the_metric_of_progress_is_that_of_the_loop_that_turned_longest_ago() -> None:
    clock, metrics = Clock(), Metrics()
    state = WorkerState("outbound-sender", metrics, clock=clock)
    state.progress("hung")
    clock.now += 1000
    began = time.time()
    state.progress("idle")

    (sample,) = (s for m in metrics.last_progress.collect() for s in m.samples)

    assert began - 1000 <= sample.value <= time.time() - 1000


def test_progress_is_a_metric() -> None:
    metrics = Metrics()

    WorkerState("scheduler", metrics).progress()

    (sample,) = (s for m in metrics.last_progress.collect() for s in m.samples)

    assert sample.labels == {"worker": "scheduler"}
    assert sample.value > 1_000_000_000
