"""One run of the demo on servers that are up: processes started, the day played, drained, judged.

Owns the order of these steps. Having servers, and being rid of them, is `deploy.demo.running`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from deploy.demo.agents import Agents
from deploy.demo.customers import Cast, make_cast
from deploy.demo.day import Day
from deploy.demo.echo import Echo
from deploy.demo.figures import make_figures
from deploy.demo.gateway import AgentGateway
from deploy.demo.invariants import INVARIANTS
from deploy.demo.invariants.evidence import Outage
from deploy.demo.preparation import prepare, require_untouched
from deploy.demo.processes import Fleet
from deploy.demo.programs import SANDBOX, make_programs
from deploy.demo.progress import Look, Progress
from deploy.demo.reading import QUERIES, read_accepted, read_evidence, read_unrest
from deploy.demo.record import Record
from deploy.demo.report import Report
from deploy.demo.rest import wait_for_rest
from deploy.demo.resuming import Operator
from deploy.demo.state import logs_of, write_state
from deploy.demo.stopwatch import Stopwatch
from deploy.demo.timetable import Timetable
from deploy.demo.wire import Wire
from workers.registry import WORKER_NAMES

_DRAIN_S: Final = 30.0
_SHOW_S: Final = 0.5
#: What the sandbox does to statuses: shares told in place of the next one, and told twice.
_DISORDER: Final = {"reorder": 0.1, "repeat": 0.1}


@dataclass(slots=True)
class DemoRun:
    """A day on running processes."""

    day: Day
    cast: Cast
    record: Record
    progress: Progress
    fleet: Fleet
    wire: Wire
    database: "asyncpg.Connection[Any]"
    client: aiohttp.ClientSession

    async def play(self, agents: Agents) -> None:
        """Play the day; returns when its last act is over, with work still under way."""
        player = Timetable(self.day, self.cast, self.wire, self.record, self._kill)
        showing = asyncio.create_task(self._show_day(), name="show")
        try:
            await player.play()
        finally:
            showing.cancel()
        self.progress.say(f"the day is over, {agents.at_work} agents are at work still")

    async def rest(self, agents: Agents) -> bool:
        """Wait until nothing is under way; False where something still is."""

        async def look() -> dict[str, int]:
            unrest = await read_unrest(self.database, self.wire, self.client, self._sandbox_url)
            dead = await self.database.fetchval(QUERIES["dead"])
            others = {
                "agents at work": agents.at_work,
                "not enriched yet": len(self.record.inbound) - self.record.distinct_seen,
                "not dead yet": max(0, len(self.record.deaths) - dead),
            }
            return unrest | {name: count for name, count in others.items() if count}

        def show(unrest: Mapping[str, int]) -> None:
            self.progress.show(Look("coming to rest", 1.0, unrest))

        return await wait_for_rest(look, self.day.rest_s, show)

    async def judge(self, came_to_rest: bool, watch: Stopwatch) -> Report:
        """Drain the workers, read everything, judge it."""
        self.progress.show(Look("draining the workers, judging", 1.0))
        restarts = {name: keeper.restarts for name, keeper in self.fleet.keepers.items() if keeper.restarts}
        exit_codes = await self.fleet.stop(WORKER_NAMES, _DRAIN_S)
        watch.lap("drain")
        accepted = await read_accepted(self.client, self._sandbox_url)
        evidence = await read_evidence(self.database, self.wire, self.record, accepted, exit_codes)
        return Report(
            seed=self.day.seed,
            figures=make_figures(evidence, self.record),
            verdicts=[invariant(evidence) for invariant in INVARIANTS],
            came_to_rest=came_to_rest,
            restarts=restarts,
            resumed=self.record.resumed,
            seconds=watch.seconds,
        )

    async def prepare(self) -> None:
        """Statuses out of order, customers who want no marketing; tells where the workers can be watched."""
        async with self.client.put(f"{self._sandbox_url}/_sandbox/settings", json=_DISORDER) as answer:
            answer.raise_for_status()
        self.record.opted_out, self.record.too_long = self.cast.opted_out, self.cast.too_long
        await self.database.execute(QUERIES["opt_out"], sorted(self.cast.opted_out))
        self.progress.say(f"sandbox: {self._sandbox_url}/_sandbox/stats")
        for name in WORKER_NAMES:
            self.progress.say(f"metrics of {name}: {self.fleet.keepers[name].url}/metrics")

    async def _kill(self, worker: str) -> Outage:
        self.progress.say(f"kill -9 {worker}")
        outage = await self.fleet.kill(worker)
        self.progress.say(
            f"{worker} is ready again after {outage.until - outage.since:.1f} s, "
            f"metrics: {self.fleet.keepers[worker].url}/metrics"
        )
        return outage

    async def _show_day(self) -> None:
        started = time.monotonic()
        while True:
            share = min(1.0, (time.monotonic() - started) / self.day.duration_s)
            self.progress.show(Look(f"{_clock(share)} on day {self.day.seed}", share, self._counts()))
            await asyncio.sleep(_SHOW_S)

    def _counts(self) -> dict[str, int]:
        record = self.record
        return {
            "messages in": len(record.inbound) + record.inbound_copies,
            "enriched": record.distinct_seen,
            "replies": len(record.replies),
            "sent": record.heard["outbound.sent"],
            "failed": record.heard["outbound.failed"],
            "conversations": len(record.correlated),
            "closed": len(record.closed),
            "poison": len(record.deaths),
            "restarts": sum(keeper.restarts for keeper in self.fleet.keepers.values()),
        }

    @property
    def _sandbox_url(self) -> str:
        return self.fleet.keepers[SANDBOX].url or ""


async def play_day(
    root: Path, urls: Mapping[str, str], environ: Mapping[str, str], day: Day, progress: Progress
) -> Report:
    """Play and judge one day. Raises StackError or BrokerError where it cannot be played."""
    watch = Stopwatch()
    progress.show(Look("preparing the servers and starting the processes"))
    await prepare(urls)
    async with _prepared(root, urls, environ, day, progress) as run:
        watch.lap("processes")
        await run.prepare()
        async with asyncio.TaskGroup() as people:
            agents, others = await _start_people(run, urls["DATABASE_URL"], people)
            await run.play(agents)
            watch.lap("day")
            came_to_rest = await run.rest(agents)
            watch.lap("rest")
            report = await run.judge(came_to_rest, watch)
            agents.stop()
            for task in others:
                task.cancel()
        return report


@asynccontextmanager
async def _prepared(
    root: Path, urls: Mapping[str, str], environ: Mapping[str, str], day: Day, progress: Progress
) -> AsyncIterator[DemoRun]:
    """All connections and processes of a run."""
    record = Record()
    programs = make_programs(urls, environ, logs_of(root), day.seed)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        database = await asyncpg.connect(urls["DATABASE_URL"])
        stack.push_async_callback(database.close)
        wire = await stack.enter_async_context(Wire.connected(urls["RABBITMQ_URL"], record.published))
        await require_untouched(database, wire)
        fleet = await stack.enter_async_context(
            Fleet.running(programs, root, lambda fleet: write_state(root, fleet.refs(), {}))
        )
        write_state(root, fleet.refs(), fleet.urls())
        yield DemoRun(day, make_cast(day), record, progress, fleet, wire, database, client)


async def _start_people(
    run: DemoRun, database_url: str, group: asyncio.TaskGroup
) -> tuple[Agents, list[asyncio.Task[None]]]:
    """The agent platform at work; returns its agents, and the tasks to end with it."""
    wire, record = run.wire, run.record
    echo = Echo(record.heard)
    agents = Agents(wire, record, echo, run.cast.customers, run.day.seed, group)
    gateway = AgentGateway(wire, record, agents.take)
    operator = Operator(database_url, wire, record, run.progress, run.cast.bystanders[0].wa_id)
    tasks = [
        group.create_task(echo.run(wire), name="echo"),
        group.create_task(gateway.run(wire), name="gateway"),
        group.create_task(operator.run(), name="operator"),
    ]
    await echo.is_listening.wait()
    return agents, tasks


def _clock(share: float) -> str:
    """The time of day that is played."""
    minutes = int(share * 24 * 60)
    return f"{min(minutes // 60, 23):02d}:{minutes % 60:02d}"
