"""One connection on AMQP frames, over a socket that only remembers: what it says, and how it ends.

RabbitMQ's part is written by pamqp.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from shared.amqp.frames.channel import ChannelGone, FramesChannel
from shared.amqp.frames.connection import FramesConnection
from shared.amqp.frames.consumer import FramesConsumer
from shared.amqp.wire import Listener
from tests.support.waiting import until

GREETING: Final = b"AMQP\x00\x00\x09\x01"
REFUSED: Final = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."


class Socket(asyncio.Transport):
    """Takes everything and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.said = bytearray()
        self.is_closed = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.said += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class Line:
    """A connection, and RabbitMQ's hand at the other end."""

    def __init__(self, heartbeat_s: int = 0) -> None:
        self.connection = FramesConnection(heartbeat_s)
        self.socket = Socket()
        self.connection.connection_made(self.socket)

    def tell(self, method: Frame, channel: int = 0) -> None:
        self.connection.data_received(marshal(method, channel))

    def heard(self, kind: type[Any] = Frame) -> list[Any]:
        """What the connection has said, of this kind."""
        rest, found = bytes(self.socket.said).removeprefix(GREETING), []
        while rest:
            size, _, frame = unmarshal(rest)
            rest = rest[size:]
            if isinstance(frame, kind):
                found.append(frame)
        return found

    async def until_said(self, kind: type[Any], count: int = 1) -> Any:
        async def is_said() -> bool:
            return len(self.heard(kind)) >= count

        await until(is_said)
        return self.heard(kind)[-1]

    async def open(self, tune: commands.Connection.Tune | None = None, **properties: Any) -> None:
        """As far as a sign-in goes well."""
        opening = asyncio.create_task(self.connection.open("PLAIN", "\0guest\0guest", "/", "test"))
        self.tell(commands.Connection.Start(0, 9, properties, "PLAIN", "en_US"))
        await self.until_said(commands.Connection.StartOk)
        self.tell(tune or commands.Connection.Tune(2047, 131_072, 60))
        await self.until_said(commands.Connection.Open)
        self.tell(commands.Connection.OpenOk())
        await opening

    async def channel(self) -> FramesChannel:
        number = len(self.heard(commands.Channel.Open)) + 1
        opening = asyncio.create_task(self.connection.open_channel())
        await self.until_said(commands.Channel.Open, number)
        self.tell(commands.Channel.OpenOk(), number)
        return await opening


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ((2047, 131_072), (2047, 131_072)),
        ((0, 0), (65_535, 131_072)),
        ((10, 8192), (10, 8192)),
        ((2047, 1_000_000), (2047, 131_072)),
    ],
    ids=["RabbitMQ 4", "no limits", "small", "large"],
)
async def test_what_the_server_offers_is_taken_as_far_as_we_go(
    offered: tuple[int, int], taken: tuple[int, int]
) -> None:
    line = Line(heartbeat_s=6)

    await line.open(commands.Connection.Tune(*offered, 60))

    (told,) = line.heard(commands.Connection.TuneOk)
    assert (told.channel_max, told.frame_max, told.heartbeat) == (*taken, 6)
    assert line.connection.frame_max == taken[1]
    assert line.socket.said.startswith(GREETING)
    line.connection.abort()


async def test_a_login_that_is_refused_is_an_error_with_the_servers_reason() -> None:
    line = Line()
    opening = asyncio.create_task(line.connection.open("PLAIN", "\0guest\0wrong", "/", "test"))
    line.tell(commands.Connection.Start(0, 9, {}, "PLAIN", "en_US"))
    await line.until_said(commands.Connection.StartOk)

    line.tell(commands.Connection.Close(403, REFUSED, 0, 0))

    with pytest.raises(ConnectionError, match=f"^403 {REFUSED}$"):
        await opening
    assert len(line.heard(commands.Connection.CloseOk)) == 1
    assert line.socket.is_closed


@pytest.mark.parametrize(
    ("said", "told"),
    [(b"HTTP/1.1 400 Bad Request\r\n", "no frame"), (b"AMQP\x03\x01\x00\x00", "no frame"), (b"", "closed")],
    ids=["HTTP", "another AMQP", "nothing"],
)
async def test_a_server_that_speaks_something_else_is_told(said: bytes, told: str) -> None:
    line = Line()
    opening = asyncio.create_task(line.connection.open("PLAIN", "", "/", "test"))
    await asyncio.sleep(0)

    line.connection.data_received(said)
    line.connection.connection_lost(None)

    with pytest.raises(ConnectionError, match=told):
        await opening


def deliver(tag: int = 1) -> bytes:
    return marshal(commands.Basic.Deliver("consumer", tag, False, "", "queue"), 1)


def header(size: int) -> bytes:
    return marshal(ContentHeader(body_size=size), 1)


def method(payload: bytes, channel: int = 1) -> bytes:
    return b"\x01" + channel.to_bytes(2) + len(payload).to_bytes(4) + payload + b"\xce"


#: What the server says to an open connection with channel 1, and what is told of it.
MALFORMED: Final[dict[str, tuple[bytes, str]]] = {
    "of no kind": (b"\x09\x00\x01\x00\x00\x00\x00\xce", "no frame of AMQP 0-9-1"),
    "too large": (b"\x03\x00\x01\x7f\xff\xff\xff", "a frame of 2147483655 bytes"),
    "without its end": (method(b"\x00\x3c\x00\x50" + bytes(9))[:-1] + b"\x00", "a frame without its end"),
    "for a channel that is not open": (marshal(commands.Basic.Ack(1), 7), "channel 7, which is not open"),
    "a method that nobody knows": (method(b"\x00\x63\x00\x01"), "cannot be read, 00630001"),
    "an empty method": (method(b""), "cannot be read, empty"),
    "a method of half its length": (method(b"\x00\x14\x00\x28\x01"), "cannot be read, 00140028"),
    "a confirm of half its length": (method(b"\x00\x3c\x00\x50\x00"), "a confirm that is cut off"),
    "a delivery of half its length": (method(deliver()[7:14]) + header(0), "a delivery that is cut off"),
    "a greeting once more": (marshal(commands.Connection.Start(), 0), "on an open connection"),
    "a body without a channel": (marshal(ContentBody(b"x"), 0), "content without a channel"),
    "a body without a delivery": (marshal(ContentBody(b"x"), 1), "content without a method"),
    "a body without a header": (deliver() + marshal(ContentBody(b"x"), 1), "a body out of place"),
    "an empty body": (deliver() + header(1) + marshal(ContentBody(b""), 1), "a body out of place"),
    "a body of an exabyte": (deliver() + header(2**60), "a body of 1152921504606846976 bytes"),
    "a body beyond its length": (deliver() + header(1) + marshal(ContentBody(b"xx"), 1), "longer than"),
    "a heartbeat in a body": (deliver() + header(1) + b"\x08\x00\x01\x00\x00\x00\x00\xce", "a heartbeat"),
    "two headers": (deliver() + header(1) + header(1), "a header out of place"),
    "a delivery in another": (deliver() + deliver(2), "a message began within another"),
    "properties of half their length": (
        deliver() + b"\x02\x00\x01\x00\x00\x00\x0f" + b"\x00\x3c" + bytes(10) + b"\x80\x00\x05" + b"\xce",
        "properties that are cut off",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_what_is_no_frame_in_its_place_ends_the_connection_with_its_reason(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, told = MALFORMED[kind]
    line = Line()
    await line.open()
    channel = await line.channel()
    hear(channel)
    asked = asyncio.create_task(channel.call(commands.Basic.Qos(), commands.Basic.QosOk))
    await asyncio.sleep(0)

    line.connection.data_received(said)

    assert line.connection.lost.done()
    assert line.socket.is_closed
    with pytest.raises(ConnectionError, match=told):
        await asked
    with pytest.raises(ConnectionError, match=told):
        await line.connection.open_channel()
    assert [record.getMessage().count(told) for record in caplog.records] == [1]


def hear(channel: FramesChannel) -> list[Any]:
    """Read all that comes by it, as a consumer does."""
    heard: list[Any] = []
    FramesConsumer(channel).listen(Listener("queue", 1, heard.append, heard.append, heard.append))
    return heard


def stream() -> bytes:
    """As RabbitMQ speaks to one consumer."""
    properties = commands.Basic.Properties(headers={"a": [1, {"b": "c"}]}, message_id="m", correlation_id="c")
    parts = [marshal(commands.Basic.ConsumeOk("consumer"), 1)]
    for tag in range(1, 4):
        parts += [deliver(tag), marshal(ContentHeader(body_size=6, properties=properties), 1)]
        parts += [marshal(ContentBody(b"abc"), 1), marshal(ContentBody(b"def"), 1)]
    parts += [marshal(commands.Basic.Ack(3, True), 1), marshal(commands.Basic.Cancel("consumer"), 1)]
    return b"".join([*parts, marshal(commands.Channel.Close(404, "NOT_FOUND", 60, 20), 1)])


@given(data=st.data())
def test_whatever_bytes_come_a_connection_is_well_or_ended(data: st.DataObject) -> None:
    """Some of them are changed, left out or twice there; none is kept beyond a frame and what was read."""
    said = bytearray(stream())
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(said) - 1))
        change = data.draw(st.sampled_from(["set", "drop", "repeat", "insert"]))
        if change == "set":
            said[at] = data.draw(st.integers(0, 255))
        elif change == "drop":
            del said[at : at + data.draw(st.integers(1, 20))]
        elif change == "repeat":
            said[at:at] = said[at : at + data.draw(st.integers(1, 60))]
        else:
            said[at:at] = data.draw(st.binary(max_size=40))
        said = said or bytearray(b"\x00")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6)))
    pieces = [bytes(said[a:b]) for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]

    asyncio.run(check_any_bytes(pieces))


async def check_any_bytes(pieces: list[bytes]) -> None:
    line = Line()
    await line.open()
    hear(await line.channel())
    for piece in pieces:
        if not line.connection.lost.done():
            line.connection.data_received(piece)
    assert line.connection.lost.done() == line.connection.is_closed == line.socket.is_closed
    line.connection.connection_lost(None)
    with pytest.raises(ConnectionError):
        await line.connection.open_channel()


async def test_a_number_is_free_when_the_server_has_answered_the_good_bye() -> None:
    line = Line()
    await line.open()
    given_up = asyncio.create_task(line.connection.open_channel())
    await line.until_said(commands.Channel.Open)
    given_up.cancel()
    await line.until_said(commands.Channel.Close)

    line.tell(commands.Channel.OpenOk(), 1)

    beside = await line.channel()
    assert beside.number == 2
    line.tell(commands.Channel.CloseOk(), 1)
    again = asyncio.create_task(line.connection.open_channel())
    await line.until_said(commands.Channel.Open, 3)
    line.tell(commands.Channel.OpenOk(), 1)
    assert (await again).number == 1


async def test_a_good_bye_that_is_not_answered_is_not_said_again() -> None:
    line = Line()
    await line.open()
    channel = await line.channel()
    for _ in range(2):
        closing = asyncio.create_task(channel.close())
        await line.until_said(commands.Channel.Close)
        closing.cancel()
        await asyncio.wait([closing])
    channel.abandon()

    assert len(line.heard(commands.Channel.Close)) == 1


async def test_two_good_byes_that_meet_are_both_answered() -> None:
    line = Line()
    await line.open()
    channel = await line.channel()
    closing = asyncio.create_task(channel.close())
    await line.until_said(commands.Channel.Close)

    line.tell(commands.Channel.Close(406, "PRECONDITION_FAILED", 60, 80), 1)

    assert len(line.heard(commands.Channel.CloseOk)) == 1
    assert not closing.done()
    line.tell(commands.Channel.CloseOk(), 1)
    await closing


async def test_a_channel_that_the_server_closes_tells_the_reason_to_who_waits() -> None:
    line = Line()
    await line.open()
    channel = await line.channel()
    heard = hear(channel)
    asked = asyncio.create_task(channel.call(commands.Basic.Consume(0, "gone"), commands.Basic.ConsumeOk))
    await line.until_said(commands.Basic.Consume)

    line.tell(commands.Channel.Close(404, "NOT_FOUND - no queue 'gone'", 60, 20), 1)

    with pytest.raises(ChannelGone, match="404 NOT_FOUND - no queue 'gone'"):
        await asked
    assert heard == ["404 NOT_FOUND - no queue 'gone'"]
    assert len(line.heard(commands.Channel.CloseOk)) == 1
    assert not line.connection.is_closed


async def test_when_all_channels_are_in_use_the_next_one_is_refused() -> None:
    line = Line()
    await line.open(commands.Connection.Tune(2, 131_072, 60))
    for _ in range(2):
        await line.channel()

    with pytest.raises(ConnectionError, match="all 2 channels"):
        await line.connection.open_channel()


async def test_a_connection_that_says_nothing_else_says_that_it_is_there() -> None:
    line = Line(heartbeat_s=1)
    await line.open()

    await until(_has_beaten(line))

    line.connection.abort()


def _has_beaten(line: Line) -> Callable[[], Any]:
    async def has_beaten() -> bool:
        return b"\x08\x00\x00\x00\x00\x00\x00\xce" * 2 in bytes(line.socket.said)

    return has_beaten


@pytest.mark.parametrize("awaited", [True, False])
async def test_a_cancelled_consumer_is_acknowledged_where_the_server_awaits_it(awaited: bool) -> None:
    line = Line()
    await line.open(capabilities={"accept_consumer_cancel_ok": awaited})
    heard = hear(await line.channel())

    line.tell(commands.Basic.Cancel("consumer"), 1)

    assert heard == ["consumer"]
    assert len(line.heard(commands.Basic.CancelOk)) == int(awaited)


async def test_an_alarm_is_known_by_its_reason_until_it_ends() -> None:
    line = Line()
    await line.open()

    line.tell(commands.Connection.Blocked("low on disk"))
    blocked = line.connection.blocked
    line.tell(commands.Connection.Unblocked())

    assert (blocked, line.connection.blocked) == ("low on disk", None)


async def test_a_flow_that_is_stopped_is_known_and_answered() -> None:
    line = Line()
    await line.open()
    channel = await line.channel()

    line.tell(commands.Channel.Flow(False), 1)
    stopped = channel.is_flowing
    line.tell(commands.Channel.Flow(True), 1)

    assert (stopped, channel.is_flowing) == (False, True)
    assert [answer.active for answer in line.heard(commands.Channel.FlowOk)] == [False, True]
