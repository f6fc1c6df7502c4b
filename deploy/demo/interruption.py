"""Ctrl-C and SIGTERM end a demo in order, once; while it cleans up they are not heard."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

import uvloop

_Result = TypeVar("_Result")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_interruptibly(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `work` in a loop of its own; the first signal cancels it. Raises KeyboardInterrupt then."""

    async def supervised() -> _Result:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def cancel_once() -> None:
            for number in _SIGNALS:
                loop.add_signal_handler(number, lambda: None)
            task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, cancel_once)
        return await work

    earlier = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(supervised())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Outside of a loop: SIGTERM raises KeyboardInterrupt, as SIGINT does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


@contextmanager
def undisturbed() -> Iterator[None]:
    """For cleaning up: neither signal is heard."""
    earlier = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
