"""Whether a queue is worked or stands still: derived from its reasons, and from one try."""

import pytest

from shared.amqp.delivery import Delivery, Publication
from shared.amqp.frames.wire import open_frames
from shared.amqp.kept.inlet import KeptInlet
from shared.amqp.kept.link import Link
from shared.amqp.publisher_health import PublisherHealth
from shared.consuming.standing import BRAKE_REASON, PUBLISHING_REASON, Standing
from shared.durations import DURATIONS
from shared.errors import BrokerUnavailable, PublishFailed, PublishRefused, WabusError
from shared.observability.health import STALL_AFTER_S, WorkerState
from shared.observability.metrics import Metrics
from tests.unit.test_consuming import delivery


class Clock:
    """Monotonic seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """Two queues of one worker, over inlets that were never connected."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state = WorkerState("worker", Metrics(), clock=self.clock)
        self.state.not_ready.discard(WorkerState.STARTING)
        self.failing_since: float | None = None
        self.inlet, self.standing = self.queue("busy")
        self.idle = self.queue("idle")[1]

    def queue(self, name: str) -> tuple[KeptInlet, Standing]:
        link = Link(open_frames, "amqp://127.0.0.1", "never connected", DURATIONS)
        inlet = KeptInlet(name, 600, link, DURATIONS, 1000)
        failing = (lambda: self.failing_since) if name == "busy" else (lambda: None)
        return inlet, Standing(inlet, self.state, DURATIONS, failing, self.clock)

    def arrive(self, *tags: int) -> list[Delivery]:
        """Deliveries of the channel as it is, in the buffer."""
        items = [delivery(tag, generation=0) for tag in tags]
        for item in items:
            self.inlet._in_hand.add(item)
        return items

    async def take(self, size: int) -> list[Delivery]:
        batch = await self.inlet.next_batch(size, 0)
        self.standing.take(batch)
        return batch

    def trip(self) -> None:
        for _ in range(DURATIONS.brake_window):
            self.standing.note(failed=True)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def tags(items: list[Delivery]) -> list[int]:
    return [item.tag for item in items]


async def test_a_brake_is_cleared_by_a_success_of_its_own_queue_alone(scene: Scene) -> None:
    scene.trip()
    scene.idle.note(failed=False)
    assert scene.standing.is_still
    assert not scene.idle.is_still
    assert scene.state.not_ready == {f"busy: {BRAKE_REASON}"}
    assert scene.state.loop_stall_reasons["busy"] == {BRAKE_REASON}
    assert not scene.state.loop_stall_reasons["idle"]
    scene.standing.note(failed=False)

    assert not scene.standing.is_still
    assert not scene.state.not_ready
    assert not scene.state.loop_stall_reasons["busy"]


async def test_a_queue_that_never_turned_has_stalled_though_its_sibling_turns(scene: Scene) -> None:
    assert scene.state.live
    scene.clock.now += STALL_AFTER_S + 1
    scene.state.progress("idle")

    assert not scene.state.live


async def test_a_brake_is_tried_once_in_each_interval(scene: Scene) -> None:
    scene.trip()
    for _ in range(3):
        assert not scene.standing.may_try
        scene.clock.now += DURATIONS.brake_probe_s
        assert scene.standing.may_try
        scene.standing.note(failed=True)


async def test_a_server_that_is_back_is_believed_once_something_was_worked(scene: Scene) -> None:
    scene.standing.leave("PostgreSQL", scene.clock())
    scene.standing.note(failed=False)  # begun before, and done without it
    assert scene.standing.is_still
    assert not scene.standing.may_try
    scene.standing.come_back("PostgreSQL")
    assert scene.standing.is_still
    assert scene.standing.may_try
    scene.standing.note(failed=False)

    assert not scene.standing.is_still


async def test_nothing_is_tried_beside_what_is_at_work(scene: Scene) -> None:
    scene.arrive(1)
    assert scene.standing.begin(await scene.take(1), is_try=False)
    scene.standing.leave("PostgreSQL", scene.clock())
    scene.standing.come_back("PostgreSQL")
    assert not scene.standing.may_try
    scene.standing.end()

    assert scene.standing.may_try


async def test_what_nobody_began_is_let_go_in_time_and_once(scene: Scene) -> None:
    scene.arrive(1, 2, 3, 4)
    begun, waiting = await scene.take(1), await scene.take(1)
    assert scene.standing.begin(begun, is_try=False) == begun
    scene.standing.leave("PostgreSQL", scene.clock())
    assert scene.standing.let_go() == []
    scene.clock.now += DURATIONS.give_back_s
    assert tags(scene.standing.let_go()) == [2, 3, 4]
    assert scene.standing.begin(waiting, is_try=False) == []
    scene.standing.come_back("PostgreSQL")
    scene.standing.leave("PostgreSQL", scene.clock())
    scene.arrive(5)
    scene.clock.now += DURATIONS.give_back_s

    assert scene.standing.let_go() == []


async def test_nothing_is_let_go_before_the_broker_has_stopped_delivering(scene: Scene) -> None:
    """It would come back at once, and be kept: what is let go is let go once."""
    scene.inlet._consumer_tag = "consumes"
    scene.arrive(1, 2)
    scene.standing.leave("PostgreSQL", scene.clock())
    scene.clock.now += DURATIONS.give_back_s
    assert scene.standing.let_go() == []
    scene.arrive(3)
    scene.inlet._consumer_tag = None

    assert tags(scene.standing.let_go()) == [1, 2, 3]


async def test_once_it_is_worked_again_the_next_outage_counts_anew(scene: Scene) -> None:
    for tag in (1, 2):
        scene.arrive(tag)
        scene.standing.leave("PostgreSQL", scene.clock())
        scene.clock.now += DURATIONS.give_back_s
        assert tags(scene.standing.let_go()) == [tag]
        scene.standing.come_back("PostgreSQL")
        scene.standing.note(failed=False)


async def test_who_stood_behind_one_that_is_put_back_does_not_overtake_it(scene: Scene) -> None:
    scene.arrive(1, 2, 3)
    first, second = await scene.take(1), await scene.take(1)
    scene.standing.begin(first, is_try=False)
    scene.standing.put_back(first)

    assert scene.standing.begin(second, is_try=False) == []
    assert tags(await scene.take(3)) == [1, 2, 3]


async def test_what_cannot_be_published_for_long_stops_its_queue(scene: Scene) -> None:
    scene.failing_since = scene.clock()
    scene.standing.look()
    assert not scene.standing.is_still
    scene.clock.now += DURATIONS.give_back_s
    scene.standing.look()
    scene.idle.look()
    assert scene.standing.is_overdue
    assert not scene.idle.is_still
    assert scene.state.not_ready == {f"busy: {PUBLISHING_REASON}"}
    scene.standing.note(failed=False)  # it published nothing
    assert scene.standing.is_still
    scene.failing_since = None
    scene.standing.note(failed=False)

    assert not scene.standing.is_still
    assert not scene.state.not_ready


def publication(routing_key: str) -> Publication:
    return Publication("wa.events", routing_key, b"", "Type", "key", "trace")


def test_a_destination_fails_since_the_first_failure_after_its_last_success() -> None:
    health = PublisherHealth()
    failing_since = health.follow(("wa.events", "inbound.enriched"))
    both = [publication("inbound.enriched"), publication("outbound.sent")]
    full = PublishRefused("full")
    health.note(both, [None, None], 1, 2)
    health.note(both, [full, None], 0.5, 3)
    assert failing_since() == 2, "it began before the success, and ended after it"
    health.note(both, [full, None], 4, 5)
    assert failing_since() == 2
    health.note(both, [None, full], 6, 7)

    assert failing_since() is None


@pytest.mark.parametrize("answer", [None, PublishRefused("full")])
def test_who_gets_any_answer_is_heard(answer: WabusError | None) -> None:
    health = PublisherHealth()
    one = [publication("outbound.sent")]
    health.note(one, [BrokerUnavailable("away")], 1, 2)
    health.note(one, [PublishFailed("late")], 3, 13)
    assert health.silent_since == 1
    health.note(one, [answer], 14, 15)

    assert health.silent_since is None
