"""How long a message takes through a worker while messages are offered at a steady rate.

The clock of a message starts when it is due, not when it is written: where the machine falls behind, that
counts.
"""

import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from shared.amqp.frames.channel import FramesChannel
from shared.amqp.topology import ENRICHED
from tests.bench.columns import Column
from tests.bench.figures import Latency
from tests.bench.ground import Ground, clean, memory_mb, program
from tests.bench.traffic import Arrivals, connected, offer, write_frames
from tests.bench.work import Work, payloads
from tests.support.waiting import until

#: Seconds at the beginning of each load that are offered and not counted.
_WARM_S: Final = 1.0
_PATIENCE_S: Final = 30
#: How long a load lasts.
LOAD_S: Final = 3.0


async def measure(place: Ground, column: Column, rates: Sequence[int], seconds: float) -> list[Latency]:
    """One worker, one rate after the other."""
    await clean(place, (*column.queues, ENRICHED))
    async with AsyncExitStack() as stack:
        publishing = await stack.enter_async_context(connected(place.rabbitmq_url))
        consuming = await stack.enter_async_context(connected(place.rabbitmq_url))
        arrivals = Arrivals()
        await arrivals.listen(consuming, ENRICHED)
        await stack.enter_async_context(program(place, column.command(Work.INBOUND), column.environ))
        counts = [int(rate * (_WARM_S + seconds)) for rate in rates]
        told = payloads(Work.INBOUND, 1 + sum(counts))
        frames = [write_frames(column.write(Work.INBOUND, *one)) for one in told]
        await offer(publishing, frames[:1], 1)
        await _arrived(arrivals, range(1))
        found: list[Latency] = []
        first = 1
        for rate, count in zip(rates, counts, strict=True):
            waits = await offer_and_wait(publishing, arrivals, frames[first : first + count], first, rate)
            found.append(_summed_up(waits[int(rate * _WARM_S) :]))
            first += count
    return found


async def watch_memory(place: Ground, column: Column, rate: int, minutes: int) -> list[float]:
    """MB of one worker under a steady load, at the start and after each minute."""
    await clean(place, (*column.queues, ENRICHED))
    async with AsyncExitStack() as stack:
        publishing = await stack.enter_async_context(connected(place.rabbitmq_url))
        consuming = await stack.enter_async_context(connected(place.rabbitmq_url))
        arrivals = Arrivals()
        await arrivals.listen(consuming, ENRICHED)
        process = await stack.enter_async_context(
            program(place, column.command(Work.INBOUND), column.environ)
        )
        memory: list[float] = []
        for minute in range(minutes):
            first = minute * rate * 60
            told = payloads(Work.INBOUND, rate * 60, first)
            frames = [write_frames(column.write(Work.INBOUND, *one)) for one in told]
            if not memory:
                await offer_and_wait(publishing, arrivals, frames[:rate], first, rate)
                memory.append(memory_mb(process.pid))
                frames, first = frames[rate:], first + rate
            await offer_and_wait(publishing, arrivals, frames, first, rate)
            memory.append(memory_mb(process.pid))
    return memory


async def offer_and_wait(
    publishing: FramesChannel, arrivals: Arrivals, frames: Sequence[bytes], first: int, rate: float
) -> list[float]:
    """Seconds that each took, from when it was due; `first` is the number of the first one."""
    numbers = range(first, first + len(frames))
    began = await offer(publishing, frames, rate)
    await _arrived(arrivals, numbers)
    return [arrivals.times[number] - began - (number - first) / rate for number in numbers]


async def _arrived(arrivals: Arrivals, numbers: range) -> None:
    await until(lambda: all(number in arrivals.times for number in reversed(numbers)), _PATIENCE_S)
    assert not arrivals.copies, "a message came twice"


def _summed_up(waits: Sequence[float]) -> Latency:
    cuts = statistics.quantiles(waits, n=1000, method="inclusive")
    return Latency(*(cuts[place] * 1000 for place in (499, 949, 989, 998)))
