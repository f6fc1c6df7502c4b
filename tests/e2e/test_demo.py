"""`wabus demo` as a person runs it, on a root of its own: played and judged, interrupted, left running."""

import asyncio
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from deploy.commands.demo import next_steps
from deploy.demo.state import read_state
from deploy.demo.watching import config_of
from deploy.stack.processes import is_alive
from tests.contract.test_compose import complaints_of
from tests.support.cluster import new_virtual_host
from tests.support.prometheus_server import prometheus_with
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.registry import WORKER_NAMES

#: A small day, played by the very functions behind the command.
PLAY = """
import sys
from pathlib import Path
from deploy.demo.day import Day
from deploy.commands.demo import play
day = Day(seed=1, customers=120, campaign=30, opted_out=4, closings=4, duration_s={duration_s}, measure_s=1,
          kills=((0.4, "status-updater"),))
sys.exit(play(Path(sys.argv[1]), day, as_json=True))
"""
CONTROL = """
import os, sys
from pathlib import Path
from rich.console import Console
from deploy.demo import running
from deploy.demo.progress import PlainProgress
root, progress = Path(sys.argv[1]), PlainProgress(Console(stderr=True))
if sys.argv[2] == "up":
    running.bring_up(root, os.environ, progress)
else:
    running.bring_down(root, progress)
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root whose demo was left running, until its last test ends it."""
    root = tmp_path_factory.mktemp("kept")
    try:
        asyncio.run(control(root, "up"))
        yield root
    finally:
        asyncio.run(control(root, "down"))


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[Path]:
    """A root without a stack, and without one after the test, whatever it did."""
    yield tmp_path
    await control(tmp_path, "down")


async def start(code: str, root: Path, *arguments: str, **urls: str) -> asyncio.subprocess.Process:
    """A program with nothing of our environment: the servers are its own, but for those of `urls`."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(root), *arguments, stdout=pipe, stderr=pipe, env=environ | urls
    )


async def control(root: Path, what: str) -> None:
    """Run one of the functions behind `--up` and `--down` to its end."""
    process = await start(CONTROL, root, what)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


def left_running(root: Path) -> list[str]:
    """Command lines of processes that work in or on this root."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(root) in line or (entry / "cwd").resolve().is_relative_to(root):
                found.append(line)
        except OSError:
            continue
    return found


def broken(report: dict[str, Any]) -> list[Any]:
    return [verdict for verdict in report["invariants"] if not verdict["is_kept"]]


async def test_a_small_day_keeps_every_promise_and_leaves_nothing_running(root: Path) -> None:
    process = await start(PLAY.format(duration_s=5), root)
    output, errors = await process.communicate()
    report = orjson.loads(output)

    assert (broken(report), report["doubts"]) == ([], []), errors.decode()
    assert (process.returncode, report["result"]) == (0, "kept")
    assert [latency["when"] for latency in report["latencies"]].count("undisturbed") == 3
    assert report["restarts"] == {"status-updater": 1}
    assert report["dead"]["invalid_payload"] == 17
    # four opted out; four listed in two notations and four under two addresses, of whom two opted out, too
    assert report["went_out"]["recipients skipped"] == 4 + 4 + 4 + 2
    assert "/metrics" in errors.decode()
    assert not (root / ".stack").exists()
    assert left_running(root) == []


async def test_an_interrupted_day_leaves_nothing_running(root: Path) -> None:
    process = await start(PLAY.format(duration_s=60), root)
    assert process.stderr is not None
    async for line in process.stderr:
        if b"on day 1" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = await process.communicate()

    assert process.returncode not in (0, None)
    assert output == b""
    assert b"stopped" in errors
    assert not (root / ".stack").exists()
    assert left_running(root) == []


@pytest.fixture
def urls(servers: Servers, empty_database: str, redis_url: str) -> Iterator[dict[str, str]]:
    """Servers that are there already, with nothing in them."""
    with new_virtual_host(servers) as rabbitmq_url:
        yield {
            "RABBITMQ_URL": rabbitmq_url,
            "RABBITMQ_MANAGEMENT_URL": servers.rabbitmq_management_url,
            "DATABASE_URL": empty_database,
            "REDIS_URL": redis_url,
        }


async def test_a_day_without_its_witness_is_not_judged_and_leaves_nothing_running(
    root: Path, urls: dict[str, str]
) -> None:
    process = await start(PLAY.format(duration_s=2), root, **urls)
    assert process.stderr is not None
    async for line in process.stderr:
        if b"conversations a second" in line:
            break
    state = read_state(root)
    assert state is not None
    os.kill(state.programs["sandbox"].pid, signal.SIGKILL)
    output, errors = await process.communicate()
    told = orjson.loads(output)

    assert (process.returncode, told["result"]) == (3, "not judged"), errors.decode()
    assert errors.decode().splitlines()[-1].startswith("could not judge: the simulated Cloud API ended")
    logs = Path(told["doubts"][0].rpartition(" ")[2])
    assert "NotJudgedError" in (logs / "demo.log").read_text()
    shutil.rmtree(logs)
    assert left_running(root) == []


async def test_a_prometheus_sees_all_of_what_is_left_running(kept: Path, tmp_path: Path) -> None:
    config = config_of(kept)
    with prometheus_with(config, tmp_path) as prometheus:
        await until(prometheus.is_ready)
        seen = await prometheus.query("up")

    assert {series["value"][1] for series in seen} == {"1"}
    assert Counter(series["metric"]["job"] for series in seen) == {
        "wabus": len(WORKER_NAMES),
        "rabbitmq": 1,
        "rabbitmq-queues": 1,
    }
    assert {series["metric"].get("service") for series in seen} == {None, *WORKER_NAMES}
    assert complaints_of("promtool", "check", "config", str(config)) == ""


async def test_what_is_left_running_restarts_what_dies_and_ends_when_told_to(kept: Path) -> None:
    root = kept
    first = read_state(root)
    assert first is not None
    await control(root, "up")
    again = read_state(root)
    assert again is not None
    assert again.programs == first.programs

    victim = first.programs["dlq-handler"]
    os.kill(victim.pid, signal.SIGKILL)

    async def is_restarted() -> bool:
        state = read_state(root)
        if state is None or state.programs["dlq-handler"] == victim or "dlq-handler" not in state.urls:
            return False
        return await answers(first.urls["dlq-handler"] + "/health/ready")

    await until(is_restarted, timeout_s=30)
    await try_what_is_printed(root)
    second = await start(PLAY.format(duration_s=1), root)
    _, errors = await second.communicate()
    await control(root, "down")

    assert (second.returncode, b"make down" in errors) == (1, True)
    assert not any(is_alive(ref) for ref in (first.keeper, *first.programs.values()))
    assert left_running(root) == []
    assert not (root / ".stack").exists()


async def try_what_is_printed(root: Path) -> None:
    """Type into a shell what `make up` says to try next, all but the end."""
    wabus = Path(sys.executable).with_name("wabus")
    *steps, show, down = next_steps(root, str(wabus))
    assert show.endswith("bin/wabus message show 491700000001")
    assert down.endswith("bin/wabus demo --down")

    async def is_shown() -> bool:
        script = "\n".join(["set -e", *steps, show])
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", script, env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()
        return process.returncode == 0 and b"Conversation of 491700000001" in told

    await until(is_shown, timeout_s=30)


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
