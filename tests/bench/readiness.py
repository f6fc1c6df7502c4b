"""How a worker under full load answers probes: `python -m tests.bench.readiness`.

One inbound-resolver drains a backlog, at production's durations, while `/health/ready` and `/metrics` are
asked in turn, each up to ten times a second. Fails where an answer was not 200, or the backlog ended before.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter, defaultdict

import aiohttp

from deploy.stack import ports
from shared.amqp.topology import INBOUND_RESOLVER
from tests.bench.columns import gateway_posts
from tests.bench.ground import Ground, depth, ground, time_when, worker
from tests.bench.traffic import fill
from tests.bench.work import Work

_PAUSE_S = 0.1
_PATHS = ("/health/ready", "/metrics")


async def measure(place: Ground, backlog: int, probes: int) -> tuple[dict[str, list[float]], Counter[str]]:
    """Milliseconds of each answer by path; bodies of those that were not 200, counted."""
    (port,) = ports.choose(1)
    took_ms: defaultdict[str, list[float]] = defaultdict(list)
    bad: Counter[str] = Counter()
    async with place.channel() as channel, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        await fill(place.rabbitmq_url, gateway_posts(Work.INBOUND, backlog))
        async with worker(place, "inbound-resolver", METRICS_PORT=str(port)):
            await time_when(lambda: _is_ready(client), 60)
            for _ in range(probes):
                for path in _PATHS:
                    began = time.perf_counter()
                    async with client.get(path) as answer:
                        body = await answer.text()
                    took_ms[path].append((time.perf_counter() - began) * 1000)
                    if answer.status != 200:
                        bad[f"{path} {answer.status}: {body}"] += 1
                await asyncio.sleep(_PAUSE_S)
            assert await depth(channel, INBOUND_RESOLVER), "the backlog ended before the probes did"
    return took_ms, bad


async def _is_ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=50_000)
    parser.add_argument("--probes", type=int, default=60)
    arguments = parser.parse_args()
    with ground() as place:
        took_ms, bad = asyncio.run(measure(place, arguments.backlog, arguments.probes))
    for path, times in took_ms.items():
        p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
        middle, longest = statistics.median(times), max(times)
        print(f"{path}: {len(times)} answers; p50 {middle:.0f}, p95 {p95:.0f}, longest {longest:.0f} ms")
    assert not bad, f"not 200: {dict(bad)}"


if __name__ == "__main__":
    main()
