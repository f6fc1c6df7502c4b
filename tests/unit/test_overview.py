"""What `wabus top` makes of several looks at the same queues, and of what servers know of workers."""

import asyncio
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from shared.amqp.broker import QueueState
from shared.errors import StoreUnavailable
from shared.messaging.overview.queues import QueueHistory, QueueLine
from shared.messaging.overview.sources import Source
from shared.messaging.overview.workers import Activity, consumer_line, lease_line
from tests.support.waiting import until

QUEUE = "status-updater"


def watch(*looks: tuple[float, int, int]) -> QueueLine:
    """The line after looks at these times, with these depths and consumers."""
    history = QueueHistory()
    for at, ready, consumers in looks:
        [line] = history.note(at, {QUEUE: QueueState(ready, consumers)}, [QUEUE])
    return line


def test_a_rate_is_the_change_over_the_last_ten_seconds() -> None:
    assert watch((0, 100, 1)).change_per_s is None
    assert watch((0, 100, 1), (4, 80, 1)).change_per_s == -5
    assert watch((0, 0, 1), (20, 100, 1), (25, 150, 1), (30, 200, 1)).change_per_s == 10


@pytest.mark.parametrize(
    ("looks", "at_least", "at_most"),
    [
        ([(0, 5, 1), (9, 5, 1)], None, None),
        ([(0, 0, 1), (3, 0, 1), (9, 5, 1)], None, 6),
        ([(0, 0, 1), (3, 7, 1), (9, 0, 1)], None, None),
        ([(0, 5, 0), (4, 5, 0), (9, 6, 0)], 9, None),
        ([(0, 5, 0), (4, 5, 1), (9, 6, 0)], 0, None),
        ([(0, 5, 0), (4, 3, 0), (9, 3, 0)], 5, None),
        ([(0, 0, 0), (2, 3, 0), (9, 3, 0)], 7, 9),
    ],
    ids=["unknown", "was empty", "is empty", "nobody takes", "somebody took", "purged", "both"],
)
def test_a_wait_is_told_by_its_bounds(
    looks: list[tuple[float, int, int]], at_least: float | None, at_most: float | None
) -> None:
    line = watch(*looks)

    assert (line.waits_at_least_s, line.waits_at_most_s) == (at_least, at_most)


def test_what_waits_in_delay_queues_is_told_with_its_queue_and_a_missing_queue_has_no_depth() -> None:
    states = {f"{QUEUE}.retry.5s": QueueState(2, 0), f"{QUEUE}.retry.10m": QueueState(1, 0)}

    [line] = QueueHistory().note(0, states, [QUEUE])

    assert line.ready is None
    assert line.retrying == {"5s": 2, "10m": 1}


@pytest.mark.parametrize(
    ("consumers", "activity", "replicas"),
    [((2, 1), Activity.WORKS, 2), ((2, 0), Activity.PARTLY, 2), ((0, 0), Activity.GONE, 0)],
)
def test_a_kind_works_where_each_of_its_queues_is_consumed(
    consumers: tuple[int, int], activity: Activity, replicas: int
) -> None:
    names = ("one", "two")
    lines = [
        QueueLine(name, 0, number, {}, None, None, None)
        for name, number in zip(names, consumers, strict=True)
    ]
    other = QueueLine("other", 0, 9, {}, None, None, None)

    line = consumer_line("worker", names, [*lines, other])

    assert (line.activity, line.replicas) == (activity, replicas)


@pytest.mark.parametrize(
    ("lapsed_s", "is_known", "activity"),
    [
        (-5.0, True, Activity.WORKS),
        (20.0, True, Activity.WORKS),
        (90.0, True, Activity.GONE),
        (None, True, Activity.NEVER_RAN),
        (None, False, Activity.UNKNOWN),
    ],
)
def test_the_scheduler_acts_while_its_lease_is_held(
    lapsed_s: float | None, is_known: bool, activity: Activity
) -> None:
    assert lease_line("scheduler", lapsed_s, is_known=is_known).activity == activity


def test_nobody_knows_a_worker_while_rabbitmq_is_away() -> None:
    assert consumer_line("worker", ("one",), None).activity == Activity.UNKNOWN


async def test_a_source_keeps_its_last_answer_says_what_is_wrong_and_comes_back() -> None:
    # Given a server that answers, is away, and answers again
    answers: Iterator[int | StoreUnavailable] = chain(
        [1, StoreUnavailable("refused: password=hidden")], repeat(2)
    )

    async def ask() -> int:
        answer = next(answers)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer

    source = Source("numbers", "PostgreSQL", ask)
    seen = []

    def note() -> None:
        seen.append((source.value, source.error))

    # When
    always = asyncio.Event()
    always.set()
    task = asyncio.create_task(source.keep_looking(0.001, always, note))
    await until(lambda: len(seen) > 2)
    task.cancel()
    # Then
    assert seen[:3] == [(1, None), (1, "refused: password=***"), (2, None)]
    assert source.age_s is not None


async def test_a_source_that_nobody_wants_is_not_asked() -> None:
    asked = []

    async def ask() -> None:
        asked.append(1)

    wanted = asyncio.Event()
    task = asyncio.create_task(Source("x", "PostgreSQL", ask).keep_looking(0.001, wanted, lambda: None))
    await asyncio.sleep(0)
    assert asked == []

    wanted.set()
    await until(lambda: len(asked) > 1)
    task.cancel()
