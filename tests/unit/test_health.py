"""The verdict on a worker: healthy, degraded, unhealthy; live; ready. Which answer of a server counts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shared.observability import checks
from shared.observability.checks import HealthChecks, ask
from shared.observability.health import Check, Health, Probe, Verdict, WorkerState, judge
from shared.observability.metrics import Metrics
from shared.tasks import end_tasks
from tests.support.waiting import until


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


BAD = Check("error", error="a consumer is not there")


@dataclass
class Falling:
    """A probe whose server falls silent while it is not `speaking`, and is bad while it `is_bad`.

    `is_ill`: it is bad once, and silent from then on. `begun`: checks so far.
    """

    name: str
    speaking: asyncio.Event = field(default_factory=asyncio.Event)
    is_bad: bool = False
    is_ill: bool = False
    begun: int = 0
    essential: bool = True

    async def check(self) -> Check:
        self.begun += 1
        await self.speaking.wait()
        if self.is_ill:
            self.is_ill = False
            self.speaking.clear()
            return BAD
        return BAD if self.is_bad else Check("ok")


def well(name: str, *, essential: bool = True) -> Answer:
    return Answer(name, Check("ok", latency_ms=1.0), essential)


def ill(name: str, *, essential: bool = True) -> Answer:
    return Answer(name, Check("error", error="refused"), essential)


def started(clock: Callable[[], float] | None = None) -> WorkerState:
    state = WorkerState("scheduler", Metrics(), stall_after_s=60, clock=clock or Clock())
    state.not_ready.discard(WorkerState.STARTING)
    return state


async def judged(*probes: Probe, state: WorkerState | None = None) -> Verdict:
    return judge(state or started(), probes, {probe.name: await ask(probe) for probe in probes})


@asynccontextmanager
async def asked(probe: Probe) -> AsyncIterator[HealthChecks]:
    """A server that is asked in the background."""
    health = HealthChecks([probe])
    asking = asyncio.create_task(health.run())
    try:
        yield health
    finally:
        await end_tasks([asking])


async def status_of(health: HealthChecks, name: str) -> str:
    return (await health.answers())[name].status


async def until_status(health: HealthChecks, name: str, status: str) -> None:
    async def is_so() -> bool:
        return await status_of(health, name) == status

    await until(is_so)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's pace for what is asked again and again."""
    monkeypatch.setattr(checks, "EVERY_S", 0.02)
    monkeypatch.setattr(checks, "FRESH_S", 0.01)
    monkeypatch.setattr(checks, "AGAIN_S", 0.02)
    monkeypatch.setattr(checks, "CHECK_TIMEOUT_S", 0.1)


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


@pytest.mark.usefixtures("fast")
async def test_a_check_that_is_slow_to_give_up_holds_up_nobody() -> None:
    """As asyncpg is, on a connection that answers nothing: it asks the server to cancel, and waits."""
    may_end = asyncio.Event()

    check = await ask(Lingering("database", may_end))

    assert check.error == "no answer within 0.1 s"
    may_end.set()


@pytest.mark.usefixtures("fast")
async def test_a_server_that_was_never_heard_of_is_an_error_from_the_first_moment() -> None:
    async with asked(Silence("database")) as health:
        first = await health.answers()
        await until_status(health, "database", "error")

    assert first["database"].error == "not answered yet"


@pytest.mark.usefixtures("fast")
async def test_a_late_answer_changes_nothing_and_one_that_never_comes_does() -> None:
    server = Falling("database")
    server.speaking.set()
    async with asked(server) as health:
        await until_status(health, "database", "ok")
        server.speaking.clear()
        begun = server.begun
        await until(lambda: server.begun > begun)
        while_it_waits = await status_of(health, "database")
        await until_status(health, "database", "error")
        told = await health.answers()
        server.speaking.set()
        await until_status(health, "database", "ok")

    assert while_it_waits == "ok"
    assert told["database"].error == "no answer within 0.1 s"


@pytest.mark.usefixtures("fast")
async def test_one_bad_answer_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again, and until that is answered the good one before it holds."""
    monkeypatch.setattr(checks, "CHECK_TIMEOUT_S", 30.0)
    server = Falling("rabbitmq")
    server.speaking.set()
    async with asked(server) as health:
        await until_status(health, "rabbitmq", "ok")
        server.is_ill = True
        await until(lambda: not server.is_ill)
        begun = server.begun
        await until(lambda: server.begun > begun)
        while_it_is_asked_again = await status_of(health, "rabbitmq")
        server.speaking.set()

    assert while_it_is_asked_again == "ok"


@pytest.mark.usefixtures("fast")
async def test_bad_answers_one_after_the_other_are_an_outage_until_the_first_good_one() -> None:
    server = Falling("rabbitmq")
    server.speaking.set()
    async with asked(server) as health:
        await until_status(health, "rabbitmq", "ok")
        server.is_bad = True
        await until_status(health, "rabbitmq", "error")
        server.is_bad = False
        await until_status(health, "rabbitmq", "ok")


@pytest.mark.usefixtures("fast")
async def test_a_server_is_asked_though_nobody_wants_to_know() -> None:
    server = Falling("redis")
    server.speaking.set()
    async with asked(server):
        await until(lambda: server.begun > 2)


async def test_however_many_want_to_know_a_server_is_asked_once() -> None:
    server = Falling("redis")
    async with asked(server) as health:
        await asyncio.gather(*(health.answers() for _ in range(20)))

    assert server.begun == 1


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
