"""The table of mutants, for people."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.mutants.judging import Fate, Judged

_STYLES: Final = {Fate.KILLED: "", Fate.SURVIVED: "bold red", Fate.STALE: "yellow"}


def print_table(judged: Sequence[Judged], console: Console) -> None:
    """A row each, those that need somebody last; below it how many of each fate."""
    table = Table(title="Mutants", title_justify="left", title_style="bold")
    for name in ("fate", "mutation", "rule", "noticed by"):
        table.add_column(name)
    order = list(Fate)
    for one in sorted(judged, key=lambda one: (order.index(one.fate), one.mutation.rule)):
        row = (one.fate.value, one.mutation.name, one.mutation.rule, one.said)
        table.add_row(*row, style=_STYLES[one.fate])
    console.print(table)
    counts = Counter(one.fate for one in judged)
    console.print(", ".join(f"{counts[fate]} {fate.value}" for fate in Fate))
