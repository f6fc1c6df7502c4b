"""How a worker under full load answers probes: `python -m tests.bench.readiness`.

The queue of one inbound-resolver is kept full, at production's durations, while `/health/ready` and
`/metrics` are asked in turn, each up to ten times a second. Fails where an answer was not 200.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter, defaultdict

import aiohttp

from deploy.stack import ports
from tests.bench.ground import Ground, ground, time_when, worker
from tests.bench.inbound_resolver import fill

_BACKLOG = 20_000
_LOW = 5_000
_PAUSE_S = 0.1
_PATHS = ("/health/ready", "/metrics")


async def measure(place: Ground, probes: int) -> tuple[dict[str, list[float]], Counter[str]]:
    """Milliseconds of each answer by path; bodies of those that were not 200, counted."""
    (port,) = ports.choose(1)
    took_ms: defaultdict[str, list[float]] = defaultdict(list)
    bad: Counter[str] = Counter()
    async with place.channel() as channel, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        await fill(channel, _BACKLOG, _LOW)
        async with worker(place, "inbound-resolver", METRICS_PORT=str(port)):
            await time_when(lambda: _is_ready(client), 60)
            filling = asyncio.create_task(_keep_full(place))
            for _ in range(probes):
                for path in _PATHS:
                    began = time.perf_counter()
                    async with client.get(path) as answer:
                        body = await answer.text()
                    took_ms[path].append((time.perf_counter() - began) * 1000)
                    if answer.status != 200:
                        bad[f"{path} {answer.status}: {body}"] += 1
                await asyncio.sleep(_PAUSE_S)
            filling.cancel()
    return took_ms, bad


async def _keep_full(place: Ground) -> None:
    async with place.channel() as channel:
        while True:
            await fill(channel, _LOW, _LOW)


async def _is_ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=300)
    arguments = parser.parse_args()
    with ground() as place:
        took_ms, bad = asyncio.run(measure(place, arguments.probes))
    for path, times in took_ms.items():
        cuts = statistics.quantiles(times, n=100)
        print(
            f"{path}: {len(times)} answers; p50 {cuts[49]:.0f}, p95 {cuts[94]:.0f}, p99 {cuts[98]:.0f},"
            f" longest {max(times):.0f} ms"
        )
    assert not bad, f"not 200: {dict(bad)}"


if __name__ == "__main__":
    main()
