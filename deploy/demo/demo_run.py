"""One run of the demo on servers that are up: processes started, the day played, drained, judged.

Owns the order of these steps. Having servers, and being rid of them, is `deploy.demo.running`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from deploy.demo.agents import Agents
from deploy.demo.cast import Cast, make_cast
from deploy.demo.day import Day
from deploy.demo.echo import Echo
from deploy.demo.figures import make_figures
from deploy.demo.gateway import AgentGateway
from deploy.demo.invariants.evidence import Outage
from deploy.demo.judging import AGENTS, WITNESS_ENDED, NotJudgedError, conclude
from deploy.demo.measuring import measure_machine
from deploy.demo.moving import PlatformOfCustomers
from deploy.demo.preparation import prepare, require_untouched
from deploy.demo.processes import Fleet
from deploy.demo.programs import SANDBOX, make_programs
from deploy.demo.progress import Look, Progress
from deploy.demo.reading import QUERIES, read_accepted, read_awaited, read_evidence, read_unrest
from deploy.demo.record import Record, now_s
from deploy.demo.report import Report
from deploy.demo.rest import Rest, wait_for_rest
from deploy.demo.resuming import Operator
from deploy.demo.state import write_state
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
    """A day on running processes. `carried`: what the machine was measured to, in conversations a second."""

    day: Day
    record: Record
    progress: Progress
    fleet: Fleet
    wire: Wire
    database: "asyncpg.Connection[Any]"
    client: aiohttp.ClientSession
    carried: float = 0.0

    async def fit(self, agents: Agents) -> Cast:
        """Measure the machine, and make the day as large as it carries; returns everybody of that day."""
        self.progress.show(Look("measuring what this machine carries"))
        self.carried = await measure_machine(self.wire, self.record, agents, self.day.measure_s)
        self.day = self.day.fitted(self.carried)
        cast = make_cast(self.day)
        agents.know(cast.customers)
        self.record.opted_out, self.record.too_long = cast.opted_out, cast.too_long
        self.record.known_as = cast.known_as
        await self.database.execute(QUERIES["opt_out"], sorted(cast.refusals))
        self.progress.say(
            f"this machine carries {self.carried:.0f} conversations a second:"
            f" {self.day.customers:,} customers write today"
        )
        return cast

    async def play(self, cast: Cast, agents: Agents) -> None:
        """Play the day; returns when its last act is over, with work still under way."""
        platform = PlatformOfCustomers(self._sandbox_url)
        player = Timetable(self.day, cast, self.wire, self.record, self._kill, platform)
        self.record.day_began = now_s()
        showing = asyncio.create_task(self._show_day(), name="show")
        try:
            await player.play()
        finally:
            showing.cancel()
        self.progress.say(f"the day is over, {agents.at_work} agents are at work still")

    async def rest(self, agents: Agents) -> Rest:
        """Wait until nothing is under way, or for long enough."""

        async def look() -> dict[str, int]:
            if self.fleet.keepers[SANDBOX].restarts:
                raise NotJudgedError(WITNESS_ENDED)
            unrest = await read_unrest(self.database, self.wire, self.client, self._sandbox_url)
            dead = await self.database.fetchval(QUERIES["dead"])
            others = {
                AGENTS: agents.at_work,
                "not with the agents yet": len(self.record.inbound) - self.record.distinct_seen,
                "not yet a dead letter": max(0, len(self.record.deaths) - dead),
            }
            return unrest | {name: count for name, count in others.items() if count}

        def show(unrest: Mapping[str, int]) -> None:
            self.progress.show(Look("coming to rest", 1.0, unrest))

        return await wait_for_rest(look, self.day.rest_s, show)

    async def judge(self, rest: Rest, echo: Echo, watch: Stopwatch) -> Report:
        """Drain the workers, read everything, judge it."""
        self.progress.show(Look("draining the workers, judging", 1.0))
        restarts = {name: keeper.restarts for name, keeper in self.fleet.keepers.items() if keeper.restarts}
        exit_codes = await self.fleet.stop(WORKER_NAMES, _DRAIN_S)
        watch.lap("drain")
        accepted = await read_accepted(self.client, self._sandbox_url)
        evidence = replace(
            await read_evidence(self.database, self.wire, self.record, accepted, exit_codes),
            awaited=await read_awaited(self.database, echo),
        )
        return Report(
            seed=self.day.seed,
            carried=round(self.carried, 1),
            customers=self.day.customers,
            figures=make_figures(evidence, self.record),
            conclusion=conclude(evidence, rest),
            restarts=restarts,
            resumed=self.record.resumed,
            seconds=watch.seconds,
        )

    async def prepare(self) -> None:
        """Statuses out of order; tells where the workers can be watched."""
        async with self.client.put(f"{self._sandbox_url}/_sandbox/settings", json=_DISORDER) as answer:
            answer.raise_for_status()
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
            "with the agents": record.distinct_seen,
            "replies": len(record.replies),
            "sent": record.heard["outbound.sent"],
            "failed": record.heard["outbound.failed"],
            "conversations": len(record.correlated),
            "closed": len(record.closed),
            "broken messages in": len(record.deaths),
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
            echo, agents, others = await _start_people(run, people)
            cast = await run.fit(agents)
            watch.lap("measuring")
            operator = Operator(
                urls["DATABASE_URL"], run.wire, run.record, progress, cast.bystanders[0].wa_id
            )
            others.append(people.create_task(operator.run(), name="operator"))
            await run.play(cast, agents)
            watch.lap("day")
            rest = await run.rest(agents)
            watch.lap("rest")
            report = await run.judge(rest, echo, watch)
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
    programs = make_programs(urls, environ, root, day.seed)
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
        yield DemoRun(day, record, progress, fleet, wire, database, client)


async def _start_people(
    run: DemoRun, group: asyncio.TaskGroup
) -> tuple[Echo, Agents, list[asyncio.Task[None]]]:
    """The agent platform at work; returns what it hears, its agents, and the tasks to end with it."""
    wire, record = run.wire, run.record
    echo = Echo(record.heard)
    agents = Agents(wire, record, echo, run.day.seed, group)
    gateway = AgentGateway(wire, record, agents.take)
    tasks = [
        group.create_task(echo.run(wire), name="echo"),
        group.create_task(gateway.run(wire), name="gateway"),
    ]
    await echo.is_listening.wait()
    return echo, agents, tasks


def _clock(share: float) -> str:
    """The time of day that is played."""
    minutes = int(share * 24 * 60)
    return f"{min(minutes // 60, 23):02d}:{minutes % 60:02d}"
