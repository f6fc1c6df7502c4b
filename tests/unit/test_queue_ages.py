"""How old the oldest message of a queue is, as far as one process knows."""

from typing import Any

import pytest

from shared.amqp.broker import QueueState
from shared.amqp.topology import ENRICHED, STATUS_UPDATER
from shared.consuming.ages import QueueAges
from shared.observability.metrics import Metrics
from tests.unit.test_consuming import delivery


class Process:
    """One process with its gauge, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.ages = QueueAges(self.metrics.queue_oldest, lambda: self.now)

    @property
    def shown(self) -> dict[str, float]:
        """The age of each queue that is shown."""
        [family] = self.metrics.queue_oldest.collect()
        return {sample.labels["queue"]: sample.value for sample in family.samples}


def published(at: float, **fields: Any) -> Any:
    return delivery(published_at=at, **fields)


def test_what_waits_is_younger_than_what_was_taken_last() -> None:
    process = Process()
    age = process.ages.consume(STATUS_UPDATER)
    age.look(5)
    batch = [published(900.0), published(960.0)]

    age.begin(batch)
    age.end(batch)

    assert process.shown == {STATUS_UPDATER: 39.5}  # timestamps are cut to whole seconds


def test_an_age_rises_while_messages_wait_and_none_is_taken_and_falls_when_none_waits() -> None:
    process = Process()
    age = process.ages.consume(STATUS_UPDATER)
    age.look(5)

    process.now += 300
    waiting = process.shown
    age.look(0)
    empty = process.shown
    process.now += 100
    age.look(1)
    came_since = process.shown

    assert waiting == {STATUS_UPDATER: 300}
    assert empty == {STATUS_UPDATER: 0}
    assert came_since == {STATUS_UPDATER: 100}


def test_what_is_in_hand_and_is_not_done_grows_old_though_nothing_waits() -> None:
    process = Process()
    age = process.ages.consume(STATUS_UPDATER)
    hanging, quick = [published(999.0)], [published(1090.0)]

    age.begin(hanging)
    process.now += 100
    age.begin(quick)
    age.end(quick)
    hangs = process.shown
    age.end(hanging)

    assert hangs == {STATUS_UPDATER: 100}
    assert process.shown == {STATUS_UPDATER: 0}


@pytest.mark.parametrize(
    "item",
    [
        published(100.0, headers={"x-attempt": 2}),
        published(100.0, redelivered=True),
        delivery(published_at=None),
        published(99_000.0),
    ],
    ids=["a copy that waited for its next try", "a redelivery", "without a time", "from the future"],
)
def test_one_whose_time_says_nothing_of_the_queue_tells_only_that_it_was_taken(item: Any) -> None:
    process = Process()
    age = process.ages.consume(STATUS_UPDATER)
    age.look(5)
    process.now += 50

    age.begin([item])
    age.end([item])
    process.now += 7

    assert process.shown == {STATUS_UPDATER: 7}


def test_a_queue_that_no_worker_takes_from_is_as_old_as_it_has_not_shrunk() -> None:
    process = Process()
    process.ages.watch(STATUS_UPDATER, QueueState(3, 0))
    process.now += 60

    process.ages.watch(STATUS_UPDATER, QueueState(4, 0))
    growing = process.shown
    process.ages.watch(STATUS_UPDATER, QueueState(2, 0))
    shrinking = process.shown
    process.now += 60
    process.ages.watch(STATUS_UPDATER, QueueState(0, 0))

    assert growing == {STATUS_UPDATER: 60}
    assert shrinking == {STATUS_UPDATER: 0}
    assert process.shown == {STATUS_UPDATER: 0}


def test_of_a_queue_that_workers_take_from_they_tell_themselves() -> None:
    process = Process()
    process.ages.watch(STATUS_UPDATER, QueueState(3, 0))
    process.now += 60

    process.ages.watch(STATUS_UPDATER, QueueState(3, 1))
    taken = process.shown
    process.now += 60
    process.ages.watch(STATUS_UPDATER, QueueState(3, 0))
    process.now += 5

    assert taken == {}
    assert process.shown == {STATUS_UPDATER: 65}  # since they were last seen to take


def test_of_what_others_consume_nobody_else_tells() -> None:
    process = Process()
    process.ages.watch(ENRICHED, QueueState(3, 1))

    process.now += 60

    assert process.shown == {ENRICHED: 60}


def test_a_process_that_consumes_and_watches_shows_what_it_knows_as_a_consumer() -> None:
    process = Process()
    age = process.ages.consume(STATUS_UPDATER)
    age.look(2)
    process.now += 30

    process.ages.watch(STATUS_UPDATER, QueueState(2, 0))
    process.ages.watch(ENRICHED, QueueState(1, 0))
    process.ages.forget()

    assert process.shown == {STATUS_UPDATER: 30}
