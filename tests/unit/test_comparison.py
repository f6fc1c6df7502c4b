"""The comparison's own arithmetic: what is offered, what counts as confirmed, and what is told of it."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from pamqp.frame import unmarshal

from shared.amqp.frames.channel import FramesChannel
from tests.bench import report
from tests.bench.columns import CELERY, COLUMNS, DRAMATIQ, FRAMES
from tests.bench.figures import Figure, Latency, Measured, ratio_of
from tests.bench.traffic import Confirmed, Post, wamid_of, write_frames
from tests.bench.work import Work, messages_of, payloads


class Carrier:
    """A connection that keeps nothing of what is written."""

    frame_max = 131_072
    awaits_cancel_ok = False

    def write(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass

    def forget(self, number: int) -> None:
        pass


@pytest.fixture
def measured() -> Measured:
    """Two rounds of two columns, of a machine that became half as fast in between."""
    rows = {
        "inbound": {
            "frames": [Figure(8000, 0.07, 70), Figure(4000, 0.08, 72)],
            "celery": [Figure(800, 4.0, 300), Figure(400, 5.0, 310)],
        }
    }
    latency = {"frames": {"1000": [Latency(2, 8, 12, 20), Latency(4, 10, 14, 30)]}}
    return Measured({"cores": 2}, "2026-11-27T20:00:00+00:00", 2, 90.0, rows, latency)


def test_what_is_written_for_programs_is_read_again(measured: Measured, tmp_path: Path) -> None:
    measured.sweeps = {"replicas": {"1": [Figure(1, 2, 3)]}}

    measured.write(tmp_path / "figures.json")

    assert Measured.read(tmp_path / "figures.json") == measured


def test_figures_of_another_format_are_refused(measured: Measured, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    measured.write(path)
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 2'))

    with pytest.raises(ValueError, match="not of format"):
        Measured.read(path)


def test_a_ratio_is_that_of_measurements_of_one_round() -> None:
    ours, theirs = ([Figure(per_s, 0, 0) for per_s in rates] for rates in ((80, 40, 20), (4, 8, 1)))

    ratio = ratio_of(ours, theirs)

    assert ratio == 20  # of the medians it would be 10


def test_the_report_tells_ratios_before_rates(measured: Measured) -> None:
    lines = list(report.lines(measured))

    ratio, rate = (
        next(place for place, line in enumerate(lines) if text in line) for text in ("10.00", "6,000")
    )
    assert ratio < rate
    assert any("12.0" not in line and "13.0" in line for line in lines)  # the median of two p99


@pytest.mark.parametrize(
    ("confirms", "upto"),
    [
        pytest.param([(1, False), (2, False)], 2, id="one by one"),
        pytest.param([(2, False), (3, False)], 0, id="the first is missing"),
        pytest.param([(2, False), (3, False), (1, False)], 3, id="the first comes last"),
        pytest.param([(4, False), (3, True)], 4, id="many at once, one beyond"),
        pytest.param([(3, True), (2, True)], 3, id="many at once, in disorder"),
    ],
)
def test_confirmed_is_what_has_no_gap_before_it(confirms: list[tuple[int, bool]], upto: int) -> None:
    channel = FramesChannel(Carrier(), 1)
    confirmed = Confirmed(channel)

    for tag, multiple in confirms:
        channel.on_confirm(True, tag, multiple)

    assert confirmed.upto == upto


def test_a_message_is_written_as_whole_frames() -> None:
    post = Post("wa.inbound", "4917", b'{"a": 1}', {"n": 1}, {"correlation_id": "c"})

    data = write_frames(post)

    frames: list[Any] = []
    while data:
        consumed, channel, frame = unmarshal(data)
        assert channel == 1
        frames.append(frame)
        data = data[consumed:]
    publish, header, body = frames
    assert (publish.exchange, publish.routing_key) == ("wa.inbound", "4917")
    assert (header.body_size, header.properties.delivery_mode) == (8, 2)
    assert (header.properties.headers, header.properties.correlation_id) == ({"n": 1}, "c")
    assert body.value == b'{"a": 1}'


@pytest.mark.parametrize("work", Work)
def test_each_message_offered_is_another_one(work: Work) -> None:
    told = [orjson.dumps(payload, option=orjson.OPT_SORT_KEYS) for _, payload in payloads(work, 3000)]

    assert len(set(told)) == 3000


def test_statuses_are_three_of_each_message() -> None:
    told = [payload["wamid"] for _, payload in payloads(Work.STATUSES, 3000)]

    assert set(told) == {wamid_of(number) for number in range(messages_of(3000))}


def test_each_framework_gets_the_same_payload() -> None:
    ((key, payload),) = payloads(Work.INBOUND, 1)

    bodies = [orjson.loads(column.write(Work.INBOUND, key, payload).body) for column in COLUMNS]

    celery, dramatiq = COLUMNS.index(CELERY), COLUMNS.index(DRAMATIQ)
    assert bodies[celery][0][0] == bodies[dramatiq]["args"][0] == payload
    assert all(body == payload for place, body in enumerate(bodies) if place not in (celery, dramatiq))


def test_wabus_is_compared_first() -> None:
    assert COLUMNS[0] is FRAMES
