"""A proxy before RabbitMQ that reads what is said, frame by frame: to hold it back, to say more."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.frame import marshal, unmarshal

from tests.support.proxy import Proxy

#: Type, channel and size before a frame's payload; its end behind it.
_HEAD: Final = 7
_END: Final = 1
#: Before the first frame of a client.
_GREETING: Final = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A frame of the server's that did not pass."""

    frame: Any
    channel: int
    client: asyncio.StreamWriter


class FrameProxy(Proxy):
    """Holds back what `hold` names, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.held: list[HeldBack] = []
        #: What the server has said, for each connection in its order.
        self.recorded: list[bytearray] = []
        self._passed: Counter[type[object]] = Counter()
        self._is_held: Callable[[Any], bool] = lambda _: False
        self._kept_from_server: tuple[type[object], ...] = ()

    def hold(self, *kinds: type[object]) -> None:
        """Let no frame of these kinds pass."""
        self._is_held = lambda frame: isinstance(frame, kinds)

    def keep_from_server(self, *kinds: type[object]) -> None:
        """Let no frame of these kinds pass to the server; they are not held, but gone."""
        self._kept_from_server = kinds

    def count(self, kind: type[object]) -> int:
        """How many frames of this kind have passed."""
        return self._passed[kind]

    @property
    def confirmed(self) -> set[int]:
        """Tags of publications that the server has answered, in what is held back."""
        tags: set[int] = set()
        for item in self.held:
            if isinstance(item.frame, Basic.Ack | Basic.Nack):
                first = 1 if item.frame.multiple else item.frame.delivery_tag
                tags.update(range(first, item.frame.delivery_tag + 1))
        return tags

    def answer(self, *frames: Frame) -> None:
        """Say these in place of what is held back, where that came from."""
        origin = self.held[0]
        for frame in frames:
            origin.client.write(marshal(frame, origin.channel))

    def tell_all(self, frame: Frame, channel: int = 0) -> None:
        """Say this on every connection, as the server does of itself."""
        self.say_to_all(marshal(frame, channel))

    def say_to_all(self, said: bytes) -> None:
        """The same of any bytes."""
        for client, _ in self._pairs:
            client.write(said)

    def _upstream(self) -> Callable[[bytes], bytes]:
        rest = bytearray()

        def read(data: bytes) -> bytes:
            rest.extend(data)
            passed = bytearray()
            if rest.startswith(_GREETING):
                passed += _GREETING
                del rest[: len(_GREETING)]
            for raw in _take_frames(rest):
                kept = self._kept_from_server
                if not kept or not isinstance(unmarshal(raw)[2], kept):
                    passed += raw
            return bytes(passed)

        return read

    def _downstream(self, client: asyncio.StreamWriter) -> Callable[[bytes], bytes]:
        rest, recorded = bytearray(), bytearray()
        self.recorded.append(recorded)

        def read(data: bytes) -> bytes:
            rest.extend(data)
            recorded.extend(data)
            passed = bytearray()
            for raw in _take_frames(rest):
                channel, frame = int.from_bytes(raw[1:3]), unmarshal(raw)[2]
                if self._is_held(frame):
                    self.held.append(HeldBack(frame, channel, client))
                else:
                    passed += raw
                    self._passed[type(frame)] += 1
            return bytes(passed)

        return read


def _take_frames(rest: bytearray) -> Iterator[bytes]:
    """Those that are whole, out of what came."""
    while len(rest) >= _HEAD:
        size = _HEAD + int.from_bytes(rest[3:_HEAD]) + _END
        if len(rest) < size:
            return
        raw = bytes(rest[:size])
        del rest[:size]
        yield raw
