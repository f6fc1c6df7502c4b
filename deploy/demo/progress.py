"""What people see while a demo runs: a live view on a terminal, a line now and then elsewhere.

Owns pace and form; says nothing on its own.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_LINE_EVERY_S: Final = 5.0
_NOTICES: Final = 12


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a running demo: what is going on, how much of it is over, and counts by what."""

    stage: str
    share: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)


class Progress(Protocol):
    """Where a demo tells how it goes."""

    def say(self, line: str) -> None:
        """Something happened."""
        ...

    def show(self, look: Look) -> None:
        """How it stands; called often."""
        ...


class PlainProgress:
    """Lines on a console: every notice, and a look every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = time.monotonic()

    def say(self, line: str) -> None:
        """Print it."""
        self._console.print(line, markup=False)

    def show(self, look: Look) -> None:
        """Print it if the last one is long enough ago."""
        if time.monotonic() - self._shown_at >= _LINE_EVERY_S:
            self._shown_at = time.monotonic()
            counts = ", ".join(f"{name} {count}" for name, count in look.counts.items())
            self.say(f"{look.stage}: {counts or 'nothing under way'}")


class LiveProgress:
    """One view that is drawn again and again, with the last notices below."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._notices: deque[str] = deque(maxlen=_NOTICES)
        self._look = Look("starting")

    def say(self, line: str) -> None:
        """Add a notice."""
        self._notices.extend(line.splitlines())
        self._draw()

    def show(self, look: Look) -> None:
        """Draw the view anew."""
        self._look = look
        self._draw()

    def _draw(self) -> None:
        table = Table.grid(padding=(0, 2))
        for name, count in self._look.counts.items():
            table.add_row(name, Text(f"{count:,}", justify="right"))
        notices = Text("\n".join(self._notices), style="dim")
        title = Text(self._look.stage, style="bold")
        self._live.update(
            Group(title, ProgressBar(total=1, completed=self._look.share, width=60), table, notices)
        )


@contextmanager
def open_progress(console: Console) -> Iterator[Progress]:
    """Live on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield LiveProgress(live)
