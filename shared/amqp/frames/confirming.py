"""Which publications of a channel are answered: counted a window at a time. Writes and reads nothing."""

import asyncio
from collections import deque
from enum import IntEnum
from typing import Final


class Answer(IntEnum):
    """What is known of one publication."""

    NONE = 0
    TAKEN = 1
    REFUSED = 2
    RETURNED = 3


_NONE: Final = int(Answer.NONE)


class ConfirmWindow:
    """What was published together. Its tags follow each other from `first`."""

    def __init__(self, first: int, message_ids: list[str]) -> None:
        self.first = first
        self.last = first + len(message_ids) - 1
        self.answers = bytearray(len(message_ids))
        #: The error of the channel or connection that went away before all were answered.
        self.cut_off: ConnectionError | None = None
        self.done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._left = len(message_ids)
        #: How many of the first ones have their answers: a confirm for many begins behind them.
        self._answered = 0
        self._numbers = {message_id: number for number, message_id in enumerate(message_ids)}
        self._returned: set[int] = set()

    def give_back(self, message_id: str) -> bool:
        """RabbitMQ returned it; its confirm is yet to come. Whether it is of this window."""
        number = self._numbers.get(message_id)
        if number is not None:
            self._returned.add(number)
        return number is not None

    def answer(self, first: int, last: int, answer: Answer) -> None:
        """For those of these tags that are in here and have none yet."""
        answers = self.answers
        start, end = max(first - self.first, self._answered), min(last - self.first + 1, len(answers))
        for number in range(start, end):
            if answers[number] == _NONE:
                answers[number] = Answer.RETURNED if number in self._returned else answer
                self._left -= 1
        if start == self._answered < end:
            self._answered = end
        if not self._left:
            self.finish()

    def finish(self, error: ConnectionError | None = None) -> None:
        """Nothing more will be heard."""
        if not self.done.done():
            self.cut_off = error
            self.done.set_result(None)


class Confirms:
    """The windows of one channel that are out, in their order."""

    def __init__(self) -> None:
        self._windows: deque[ConfirmWindow] = deque()
        self._next = 1

    @property
    def out(self) -> list[asyncio.Future[object]]:
        """What is waited for."""
        return [window.done for window in self._windows if not window.done.done()]

    def begin(self, message_ids: list[str]) -> ConfirmWindow:
        """These are about to be written."""
        window = ConfirmWindow(self._next, message_ids)
        self._next += len(message_ids)
        self._windows.append(window)
        return window

    def give_back(self, message_id: str) -> None:
        """RabbitMQ returned this one."""
        any(window.give_back(message_id) for window in self._windows)

    def take(self, is_ack: bool, tag: int, multiple: bool) -> None:
        """A confirm: of one, or of all up to it that have no answer yet."""
        answer = Answer.TAKEN if is_ack else Answer.REFUSED
        for window in self._windows:
            if window.first > tag:
                break
            if multiple or tag <= window.last:
                window.answer(0 if multiple else tag, tag, answer)
        while self._windows and self._windows[0].done.done():
            self._windows.popleft()

    def end(self, error: ConnectionError) -> None:
        """The channel is gone."""
        for window in self._windows:
            window.finish(error)
        self._windows.clear()
