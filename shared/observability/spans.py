"""Spans of what is done with messages: recorded while a collector is named, else nothing is done at all.

Owns the seam that all else is written against, and the memory of what caused what. It is the process's, as
its logs are: `recording` is None until `shared.observability.span_export` puts a recording in its place, and
whoever has something to tell looks first. Nothing here imports OpenTelemetry.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from typing import Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from shared.observability.tracing import Trace, read_trace

#: Causes that are remembered: what follows from a message is published while it is in hand, or soon after.
_CAUSES: Final = 20_000

#: What a span says, by OpenTelemetry's names, or by ours (`wabus.…`). None is left out.
Attributes: TypeAlias = Mapping[str, str | int | float | bool | None]


class SpanKind(Enum):
    """What a span is in its trace, in OpenTelemetry's words."""

    CONSUMER = "CONSUMER"
    PRODUCER = "PRODUCER"
    CLIENT = "CLIENT"
    INTERNAL = "INTERNAL"


class Span(Protocol):
    """One span that was begun. What is never ended is never told."""

    @property
    def traceparent(self) -> str:
        """By which others name it as their parent."""
        ...

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        """It is done; `error` is the kind of what failed: a code or a reason, never a text."""
        ...


class StartSpan(Protocol):
    """Begins a span in a trace, below the trace's own span where it names one."""

    def __call__(
        self,
        name: str,
        kind: SpanKind,
        parent: Trace,
        attributes: Attributes,
        *,
        link: str | None = None,
        span_id: str | None = None,
    ) -> Span:
        """`link`: `traceparent` of another span that it has to do with. `span_id`: its own, 16 hex digits."""
        ...


class Recording:
    """The spans of this process, while a collector is named."""

    def __init__(self, start: StartSpan) -> None:
        self.start = start
        self._in_hand: WeakKeyDictionary[object, Span] = WeakKeyDictionary()
        self._causes: OrderedDict[Hashable, str] = OrderedDict()

    def hold(self, thing: object, span: Span) -> None:
        """`span` is of a thing in hand; forgotten with the thing."""
        self._in_hand[thing] = span

    def of(self, thing: object) -> Span | None:
        """The span of a thing in hand."""
        return self._in_hand.get(thing)

    def let_go(self, thing: object) -> Span | None:
        """The span of a thing that is in hand no more, to be ended."""
        return self._in_hand.pop(thing, None)

    def know(self, name: Hashable, traceparent: str) -> None:
        """What follows from what goes by this name (a message's id, a trace id) belongs below that span."""
        self._causes[name] = traceparent
        self._causes.move_to_end(name)
        while len(self._causes) > _CAUSES:
            self._causes.popitem(last=False)

    def cause(self, name: Hashable) -> str | None:
        """The `traceparent` of the span below which belongs what goes by this name."""
        return self._causes.get(name)

    def below(self, name: Hashable, trace_id: str) -> Trace:
        """Where a span belongs that is about what goes by this name: at the root of its trace if unknown."""
        return read_trace(trace_id, self.cause(name) or self.cause(trace_id))


#: None: no span is recorded.
recording: Recording | None = None


def put_in_place(new: Recording | None) -> Callable[[], None]:
    """Record there from now on; gives what puts the one before back."""
    global recording
    before, recording = recording, new

    def put_back() -> None:
        global recording
        recording = before

    return put_back
