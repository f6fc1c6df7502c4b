"""The report of a demo: figures and verdicts, as tables for people and as one object for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.demo.figures import Figures
from deploy.demo.invariants import Verdict

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Report:
    """How a demo went. `came_to_rest`: whether all was done in time. `logs`: kept where something failed.

    `resumed`: how often each number was set going again.
    """

    seed: int
    figures: Figures
    verdicts: Sequence[Verdict]
    came_to_rest: bool
    restarts: Mapping[str, int]
    resumed: Mapping[str, int]
    seconds: Mapping[str, float]
    logs: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every promise was kept, in time."""
        return self.came_to_rest and all(verdict.is_kept for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """One object, for programs."""
        return {
            "passed": self.passed,
            "seed": self.seed,
            **asdict(self.figures),
            "invariants": [{"is_kept": verdict.is_kept, **asdict(verdict)} for verdict in self.verdicts],
            "came_to_rest": self.came_to_rest,
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
        ("Dead, by reason", figures.dead),
        ("Killed and restarted", report.restarts),
        ("Numbers that the platform locked, resumed by a person", report.resumed),
    ):
        _print_counts(console, title, counts)
    _print_latencies(console, figures)
    _print_verdicts(console, report.verdicts)
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    console.print(f"seed {report.seed}; {times}", markup=False)
    if not report.came_to_rest:
        console.print("not everything came to rest in time", style="red")
    if report.logs is not None:
        console.print(f"logs of the processes: {report.logs}", markup=False)
    console.print(
        "every promise was kept" if report.passed else "FAILED",
        style="bold green" if report.passed else "bold red",
    )


def _print_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    table = _table(title, ("", "count"))
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)


def _print_latencies(console: Console, figures: Figures) -> None:
    table = _table("Latency", ("", "messages", "p50 ms", "p95 ms", "p99 ms"))
    for name, latency in figures.latencies.items():
        values = (latency.p50_ms, latency.p95_ms, latency.p99_ms)
        table.add_row(name, f"{latency.count:,}", *(f"{value:,.0f}" for value in values))
    console.print(table)


def _print_verdicts(console: Console, verdicts: Iterable[Verdict]) -> None:
    table = _table("Promises", ("", "checked", "came to"))
    for verdict in verdicts:
        result = Text("kept", style="green")
        if not verdict.is_kept:
            shown = [*verdict.violations[:_SHOWN]]
            more = len(verdict.violations) - len(shown)
            result = Text("\n".join([f"BROKEN {len(verdict.violations)} times", *shown]), style="red")
            result.append(f"\n… and {more} more" if more else "")
        table.add_row(verdict.promise, f"{verdict.checked:,}", result)
    console.print(table)


def _table(title: str, columns: Sequence[str]) -> Table:
    first, *numbers = columns
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="left" if name == "came to" else "right", overflow="fold")
    return table
