"""The page on a terminal: drawn anew, keys, and the terminal as it was at the end.

Owns the loop. The page's text is `layout`'s, the servers are asked by `shared.messaging.overview`.
"""

import asyncio
import os
import re
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from shared.messaging.overview.overview import Overview
from shared.settings.settings import Settings
from shared.tasks import end_tasks
from workers.cli.overview.layout import PageSize, lay_out, lay_out_whole
from workers.cli.overview.parts import FAINT
from workers.cli.overview.sections import describe_head, describe_sections
from workers.cli.printing import WATCH_S

_ESCAPE: Final = "\x1b"
#: What a terminal sends for keys that move, and letters that do the same.
_MOVES: Final = {"\x1b[A": -1, "\x1bOA": -1, "k": -1, "\x1b[B": 1, "\x1bOB": 1, "j": 1}
_BACK: Final = (_ESCAPE, "0", "\x7f")
_SECTIONS: Final = {str(section): section for section in range(1, 6)}
_DEAD_LETTERS: Final = 5
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", re.DOTALL)
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Ages are shown in seconds.
_TICK_S: Final = 1.0


class LivePage:
    """What is shown now. `section`: the key of the one that is looked into, None for the page."""

    def __init__(self, overview: Overview, settings: Settings) -> None:
        self._overview = overview
        self._settings = settings
        self.section: int | None = None
        self._scrolled = 0
        self.wants_letters = asyncio.Event()

    def press(self, key: str) -> bool:
        """Take a key; False for the one that ends it."""
        if key == "q":
            return False
        if key in _BACK or key == str(self.section):
            self._enter(None)
        elif key in _SECTIONS:
            self._enter(_SECTIONS[key])
        elif key in _MOVES:
            self._scrolled = max(0, self._scrolled + _MOVES[key])
        return True

    def draw(self, size: PageSize) -> Group:
        """The page as it is now, no higher than the terminal."""
        assert size.height is not None
        sections = describe_sections(self._overview, self._settings)
        inner = PageSize(size.width, size.height - 1)
        if self.section is None:
            lines = lay_out(describe_head(self._overview), sections, inner)
            keys = " ".join(f"{key} {section.title}" for key, section in enumerate(sections, start=1))
            keys = f"{keys} · q quit"
        else:
            chosen = sections[self.section - 1]
            whole = lay_out_whole(describe_head(self._overview), chosen, inner)
            self._scrolled = min(self._scrolled, max(0, len(whole) - size.height + 1))
            lines = [whole[0], *whole[1 + self._scrolled :]]
            keys = "Esc back · 1-5 sections · ↑↓ scroll · q quit"
        lines = lines[: size.height - 1]
        lines += [Text()] * (size.height - 1 - len(lines))
        return Group(*lines, Text(keys[: size.width], FAINT, no_wrap=True))

    def _enter(self, section: int | None) -> None:
        self.section = section
        self._scrolled = 0
        if section == _DEAD_LETTERS:
            self.wants_letters.set()
        else:
            self.wants_letters.clear()


async def show_live(overview: Overview, settings: Settings, console: Console) -> None:
    """Show it until `q`, Ctrl-C or the terminal's end. Raises SettingsError."""
    page = LivePage(overview, settings)
    changed, ended, always = asyncio.Event(), asyncio.Event(), asyncio.Event()
    always.set()
    watched = [(source, always) for source in overview.sources] + [(overview.pressing, page.wants_letters)]

    def end() -> None:
        ended.set()
        changed.set()

    def take_keys() -> None:
        keys = split_keys(os.read(sys.stdin.fileno(), 64).decode(errors="ignore"))
        if keys and all(map(page.press, keys)):
            changed.set()
        else:
            end()

    with (
        _keys_at_once(sys.stdin.fileno()),
        Live(console=console, screen=True, auto_refresh=False) as live,
        _heeding(take_keys, changed.set, end),
    ):
        tasks = [
            asyncio.create_task(source.keep_looking(WATCH_S, wanted, changed.set), name=source.name)
            for source, wanted in watched
        ]
        tasks.append(asyncio.create_task(_keep_drawing(page, live, changed, ended), name="page"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(tasks)


async def _keep_drawing(page: LivePage, live: Live, changed: asyncio.Event, ended: asyncio.Event) -> None:
    """After each change, and each second for the ages."""
    while not ended.is_set():
        changed.clear()
        size = live.console.size
        live.update(page.draw(PageSize(size.width, size.height)), refresh=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await changed.wait()


def split_keys(typed: str) -> list[str]:
    """Keys as a terminal sends them: characters, and sequences that begin with an escape."""
    return _KEY.findall(typed)


@contextmanager
def _heeding(
    take_keys: Callable[[], None], resize: Callable[[], None], end: Callable[[], None]
) -> Iterator[None]:
    """Keys and signals of the terminal are heard by the loop."""
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), take_keys)
    loop.add_signal_handler(signal.SIGWINCH, resize)
    for number in _ENDS:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for number in (signal.SIGWINCH, *_ENDS):
            loop.remove_signal_handler(number)


@contextmanager
def _keys_at_once(terminal: int) -> Iterator[None]:
    """Keys come when they are pressed, and are not shown; Ctrl-C stays what it is."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
