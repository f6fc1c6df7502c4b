"""The report of a demo: figures and verdicts, as tables for people and as one object for programs."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.demo.figures import Figures
from deploy.demo.invariants import Verdict
from deploy.demo.judging import Conclusion
from deploy.demo.latencies import Latency

_SHOWN: Final = 5
#: Columns of words, not of numbers.
_TEXTS: Final = ("came to", "why")


class DemoResult(StrEnum):
    """What a demo came to."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Report:
    """How a demo went. `carried`: conversations a second that this machine was measured to carry.

    `resumed`: how often each number was set going again. `logs`: kept unless every promise was.
    """

    seed: int
    carried: float
    customers: int
    figures: Figures
    conclusion: Conclusion
    restarts: Mapping[str, int]
    resumed: Mapping[str, int]
    seconds: Mapping[str, float]
    logs: Path | None = None

    @property
    def result(self) -> DemoResult:
        """A broken promise weighs more than what could not be judged beside it."""
        if self.conclusion.is_broken:
            return DemoResult.BROKEN
        return DemoResult.NOT_JUDGED if self.conclusion.doubts else DemoResult.KEPT

    def as_json(self) -> dict[str, Any]:
        """One object, for programs."""
        verdicts = self.conclusion.verdicts
        return {
            "result": self.result.value,
            "seed": self.seed,
            "carried": self.carried,
            "customers": self.customers,
            **asdict(self.figures),
            "invariants": [{"is_kept": verdict.is_kept, **asdict(verdict)} for verdict in verdicts],
            "doubts": list(self.conclusion.doubts),
            "restarts": dict(self.restarts),
            "resumed": dict(self.resumed),
            "seconds": dict(self.seconds),
            "logs": None if self.logs is None else str(self.logs),
        }


def print_report(report: Report, console: Console) -> None:
    """Tables for people; breaches in red, the first few of each."""
    figures = report.figures
    for title, counts in (
        ("In", figures.came_in),
        ("Out", figures.went_out),
        ("Repetitions without effect", figures.dropped),
        ("Dead letters, by reason", figures.dead),
        ("Killed and restarted", report.restarts),
        ("Numbers that WhatsApp locked, resumed by a person", report.resumed),
    ):
        _print_counts(console, title, counts)
    _print_latencies(console, figures.latencies)
    _print_verdicts(console, report.conclusion.verdicts)
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    console.print(
        f"seed {report.seed}: {report.customers:,} customers, on a machine that carries"
        f" {report.carried:.0f} conversations a second; {times}",
        markup=False,
    )
    if report.logs is not None:
        console.print(f"logs of the processes: {report.logs}", markup=False)
    for doubt in report.conclusion.doubts:
        console.print(f"could not judge: {doubt}", style="yellow", markup=False)
    console.print(_LAST_LINES[report.result])


_LAST_LINES: Final = {
    DemoResult.KEPT: Text("every promise was kept", style="bold green"),
    DemoResult.BROKEN: Text("FAILED: a promise was broken", style="bold red"),
    DemoResult.NOT_JUDGED: Text("not judged: that says nothing about any promise", style="bold yellow"),
}


def _print_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    table = _table("", "count")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    _print(console, title, table)


def _print_latencies(console: Console, latencies: Iterable[Latency]) -> None:
    """A table for each kind of message."""
    console.print("Latency: half of the messages are faster than p50, 95 of 100 are faster than p95.")
    for what, rows in groupby(latencies, key=lambda latency: latency.what):
        table = _table("", "messages", "p50 ms", "p95 ms", "why")
        for row in rows:
            figures = (f"{row.count:,}", f"{row.p50_ms:,.0f}", f"{row.p95_ms:,.0f}")
            table.add_row(row.when, *figures, row.why)
        _print(console, what, table)


def _print_verdicts(console: Console, verdicts: Iterable[Verdict]) -> None:
    table = _table("", "checked", "came to")
    for verdict in verdicts:
        result = Text("kept", style="green")
        if not verdict.is_kept:
            shown = [*verdict.violations[:_SHOWN]]
            more = len(verdict.violations) - len(shown)
            result = Text("\n".join([f"BROKEN {len(verdict.violations)} times", *shown]), style="red")
            result.append(f"\n… and {more} more" if more else "")
        table.add_row(verdict.promise, f"{verdict.checked:,}", result)
    _print(console, "Promises", table)


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name in _TEXTS else "right", overflow="fold")
    return table


def _print(console: Console, title: str, table: Table) -> None:
    """A title of its own width: one of a table's is folded to the table's."""
    console.print(Text(title, style="bold"), table, sep="\n")
