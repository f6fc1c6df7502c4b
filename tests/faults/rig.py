"""One run: a stack of its own, processes, load, faults, rest, judgement; and nothing left running.

Owns the order of these steps and the life of what takes part. Not to be called inside a running event loop:
the stack's checks run loops of their own.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from deploy import stack
from deploy.demo.echo import Echo
from deploy.demo.interruption import run_interruptibly
from deploy.demo.moving import PlatformOfCustomers
from deploy.demo.preparation import prepare
from deploy.demo.processes import Fleet
from deploy.demo.reading import QUERIES
from deploy.demo.record import Record
from deploy.demo.rest import wait_for_rest
from deploy.demo.stopwatch import Stopwatch
from deploy.stack import ports
from tests.faults.checker import PROMISES, RABBITMQ_CONNECTIONS, count_lost, count_twice, find_growth
from tests.faults.earlier import Earlier
from tests.faults.erased import Erased
from tests.faults.event_log import EventLog
from tests.faults.footprint import look_when_settled
from tests.faults.injecting import PAUSES, Say, inject
from tests.faults.load import Load, make_day
from tests.faults.notations import TwoNotations
from tests.faults.place import Place, ServerName
from tests.faults.probing import Prober
from tests.faults.programs import make_programs
from tests.faults.proof import Footprint, Proof
from tests.faults.reading import read_proof, read_rows, read_unrest
from tests.faults.reference import Reference
from tests.faults.results import Injected, Outcome
from tests.faults.rolling import prepare_earlier, read_anew
from tests.faults.schedule import Schedule
from tests.faults.untouched import Untouched
from tests.faults.waiting import measure
from tests.faults.wire import SteadyWire
from tests.support.paces import PACES
from tests.support.proxy import Proxy
from tests.support.servers import Servers, quiet_machine, servers_of, stack_root
from workers.registry import PROGRAMS, WORKER_NAMES

_ROOT: Final = Path(__file__).resolve().parents[2]
_DRAIN_S: Final = 30.0
#: An ambiguous reply waits a minute and a half for evidence, and its claim half a minute before.
_REST_S: Final = 300.0
_LOOK_S: Final = 1.0
_SHOW_S: Final = 10.0
_SERVER_VARIABLES: Final = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "DATABASE_URL", "REDIS_URL")
#: No Docker engine answers here: the faults of servers need processes of this machine.
_NO_ENGINE: Final = {"DOCKER_HOST": "unix:///dev/null"}


def run_seed(schedule: Schedule, say: Say, pace: str = "shipped", earlier: Earlier | None = None) -> Outcome:
    """Run one schedule at a pace of `tests.support.paces`.

    `earlier`: the release that works at first, instead of this tree. Raises StackError where servers or
    processes cannot be had.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _SERVER_VARIABLES}
    watch = Stopwatch()
    with stack_root() as root:
        urls = stack.up(root, environ | _NO_ENGINE, lambda _: None, quiet_machine(environ)).urls()
        watch.lap("servers")
        try:
            outcome = run_interruptibly(_perform(root, urls, schedule, pace, earlier, watch, say))
        except Exception:
            say(f"the rig failed; logs: {_keep_logs(root, schedule.seed)}")
            raise
        return outcome if outcome.passed else replace(outcome, logs=_keep_logs(root, schedule.seed))


@dataclass(slots=True)
class Run:
    """What takes part in one run."""

    schedule: Schedule
    place: Place
    record: Record
    wire: SteadyWire
    echo: Echo
    ear: EventLog
    untouched: Untouched
    erased: Erased
    twofold: TwoNotations
    reference: Reference
    watch: Stopwatch
    say: Say
    #: The release that begins and ends it has an older schema than this tree: it knows no persons.
    is_behind: bool = False
    shown_at: float = 0.0

    async def perform(self) -> Outcome:
        """Load and faults, rest, drain, judgement."""
        before = await look_when_settled(self.place, self._is_complete)
        self.watch.lap("processes")
        async with asyncio.TaskGroup() as group:
            day = make_day(self.schedule.seed, self.schedule.load_s, knows_persons=not self.is_behind)
            platform = PlatformOfCustomers(self.place.sandbox_url)
            load = Load(day, self.wire, self.record, self.echo, group, platform)
            listening = [group.create_task(self.ear.run(self.wire)), group.create_task(load.run())]
            injected = await self._offer(load, group)
            came_to_rest = await self._rest(load)
            # what ends by itself on a busy machine is waited for; what leaked stays
            after = await look_when_settled(
                self.place, lambda found: self._is_complete(found) and not find_growth(before, found)
            )
            if self.is_behind:
                await read_anew(self.place)
                came_to_rest = came_to_rest and await self._rest(load)
            load.stop()
            for task in listening:
                task.cancel()
        return await self._judge(injected, came_to_rest, before, after)

    async def _offer(self, load: Load, group: asyncio.TaskGroup) -> list[Injected]:
        """The load, and the faults of the schedule meanwhile."""
        database = await asyncpg.connect(self.place.servers.database_url)
        await database.execute(QUERIES["opt_out"], sorted(load.cast.refusals))
        await database.close()
        playing = group.create_task(load.play())
        others = group.create_task(self.untouched.run())
        persons = self.twofold if self.is_behind else self.erased
        joining = group.create_task(persons.run())
        measuring = group.create_task(self.reference.run())
        await asyncio.sleep(self.schedule.quiet_s)
        injected = await inject(self.schedule, self.place, Prober(self.wire, self.record, self.ear), self.say)
        self.watch.lap("faults")
        self.reference.stop()
        self.untouched.stop()
        persons.stop()
        await playing
        await asyncio.gather(others, joining, measuring)
        self.watch.lap("load")
        self.say("faults and load are over")
        return injected

    async def _rest(self, load: Load) -> bool:
        """Wait until nothing is under way; False where something still is."""

        async def look() -> dict[str, int]:
            others = {"agents at work": load.agents_at_work, "not enriched": self._unseen}
            return await read_unrest(self.place) | {name: count for name, count in others.items() if count}

        rest = await wait_for_rest(look, _REST_S, self._show_sometimes, _LOOK_S)
        self.watch.lap("rest")
        return rest.is_complete

    def _show_sometimes(self, unrest: Mapping[str, int]) -> None:
        if time.monotonic() - self.shown_at > _SHOW_S:
            self.shown_at = time.monotonic()
            waiting = ", ".join(f"{name} {count}" for name, count in unrest.items())
            self.say(f"coming to rest: {waiting or 'nothing under way'}")

    def _is_complete(self, found: Footprint) -> bool:
        """Every worker is well, consumes, and is connected as ever."""
        consumers = found.consumers.values()
        well = all(held.is_live and held.is_ready for held in found.processes.values())
        return (
            well
            and all(count == self.schedule.replicas for count in consumers)
            and (found.connections["rabbitmq"] == len(found.processes) * RABBITMQ_CONNECTIONS)
        )

    @property
    def _unseen(self) -> int:
        return len(self.record.inbound) - self.record.distinct_seen

    async def _judge(
        self, injected: list[Injected], came_to_rest: bool, before: Footprint, after: Footprint
    ) -> Outcome:
        workers = [name for worker in WORKER_NAMES for name in self.place.replicas(worker)]
        exit_codes = self.place.workers.retired | await self.place.workers.stop(workers, _DRAIN_S)
        self.watch.lap("drain")
        left = await self.erased.finish()
        repeated = self.wire.repeated | self.untouched.repeated
        proof = await read_proof(self.place, self.record, self.ear, repeated, exit_codes)
        outcome = self._conclude(
            replace(
                proof,
                replicas=self.schedule.replicas,
                injected=injected,
                untouched=frozenset(self.untouched.names),
                erased=self.erased.count,
                left_of_erased=left,
                laps=self.reference.laps,
                before=before,
                after=after,
            ),
            came_to_rest,
        )
        if not outcome.passed:
            logs = self.place.stack_root / "logs"
            (logs / "rows.json").write_text(await read_rows(self.place))
            (logs / "reference.json").write_bytes(orjson.dumps(self.reference.laps))
        return outcome

    def _conclude(self, proof: Proof, came_to_rest: bool) -> Outcome:
        twice, ambiguous_twice = count_twice(proof)
        return Outcome(
            seed=self.schedule.seed,
            replicas=self.schedule.replicas,
            injected=proof.injected,
            verdicts=[promise(proof) for promise in PROMISES],
            messages=self.record.published.total() + len(proof.evidence.accepted),
            lost=count_lost(proof),
            twice=twice,
            ambiguous_twice=ambiguous_twice,
            came_to_rest=came_to_rest,
            seconds=self.watch.seconds,
            waits=measure(proof),
        )


async def _perform(
    root: Path,
    urls: Mapping[str, str],
    schedule: Schedule,
    pace: str,
    earlier: Earlier | None,
    watch: Stopwatch,
    say: Say,
) -> Outcome:
    await prepare(urls, PACES[pace])
    servers = servers_of(urls)
    if earlier is not None:
        await prepare_earlier(servers.database_url, earlier)
    code = {} if earlier is None else earlier.environment
    workers = WORKER_NAMES if earlier is None else earlier.workers
    async with AsyncExitStack() as cleanup:
        record = Record()
        echo = Echo(record.heard)
        wire = await cleanup.enter_async_context(SteadyWire.opened(servers.rabbitmq_url, record.published))
        ear = EventLog(echo)
        await ear.prepare(wire)
        untouched = await cleanup.enter_async_context(Untouched.connected(servers.rabbitmq_url, record))
        raising = _raise_place(root, servers, schedule, pace, code, record, workers)
        place = await cleanup.enter_async_context(raising)
        erased = Erased(wire, servers, schedule.seed)
        twofold = TwoNotations(wire, record)
        reference = Reference(servers, place.proxies)
        is_behind = earlier is not None and earlier.is_behind
        run = Run(
            schedule,
            place,
            record,
            wire,
            echo,
            ear,
            untouched,
            erased,
            twofold,
            reference,
            watch,
            say,
            is_behind,
        )
        return await run.perform()


@asynccontextmanager
async def _raise_place(
    root: Path,
    servers: Servers,
    schedule: Schedule,
    pace: str,
    code: Mapping[str, str],
    record: Record,
    workers: Sequence[str],
) -> AsyncIterator[Place]:
    """Proxies and processes before servers that are up."""
    (port,) = ports.choose(1)
    sandbox_url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as cleanup:
        proxies: dict[ServerName, Proxy] = {
            "rabbitmq": await cleanup.enter_async_context(Proxy.before(servers.rabbitmq_url)),
            "postgres": await cleanup.enter_async_context(Proxy.before(servers.database_url)),
            "redis": await cleanup.enter_async_context(Proxy.before(servers.redis_url)),
            "cloud_api": await cleanup.enter_async_context(Proxy.before(sandbox_url)),
        }
        programs = make_programs(servers, proxies, sandbox_url, root / "logs", schedule, pace, code, workers)
        fleet = await cleanup.enter_async_context(Fleet.running(programs, _ROOT, lambda _: None, PAUSES))
        unserved = {queue for program in PROGRAMS if program.name not in workers for queue in program.queues}
        yield Place(servers, root, proxies, sandbox_url, fleet, record, pace, frozenset(unserved))


def _keep_logs(root: Path, seed: int) -> Path:
    """A copy of the logs that outlives the stack's directory."""
    kept = Path(tempfile.mkdtemp(prefix=f"wabus-faults-{seed}-"))
    shutil.copytree(root / "logs", kept, dirs_exist_ok=True)
    return kept
