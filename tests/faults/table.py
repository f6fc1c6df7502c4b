"""The table of a fault rig's runs, for people."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.faults.results import Injected, Outcome

_SHOWN: Final = 8
_COLUMNS: Final = (
    ("seed", "right"),
    ("faults injected", "left"),
    ("recovery", "right"),
    ("others' longest waits, s (before)", "left"),
    ("messages", "right"),
    ("lost", "right"),
    ("twice", "right"),
    ("promises", "left"),
)


def print_table(outcomes: Sequence[Outcome], console: Console) -> None:
    """A row per fault, by run; below it what was broken, where the logs are, and how to replay."""
    table = Table(title="Faults", title_justify="left", title_style="bold")
    for name, side in _COLUMNS:
        table.add_column(name, justify="right" if side == "right" else "left")
    for outcome in outcomes:
        _add_run(table, outcome)
    console.print(table)
    documented = sum(outcome.ambiguous_twice for outcome in outcomes)
    console.print(f"replies sent once more after an answer that nobody got, as documented: {documented}")
    for outcome in outcomes:
        if not outcome.passed:
            _print_breaches(outcome, console)


def describe(injected: Injected) -> str:
    """How long the recovery took, for people."""
    if injected.not_run is not None:
        return f"not run: {injected.not_run}"
    if injected.error is not None:
        return f"ERROR: {injected.error}"
    assert injected.recovered_s is not None
    return f"{injected.recovered_s:.1f} s" + (f" (goal {injected.goal_s:.0f} s)" if injected.is_slow else "")


def _add_run(table: Table, outcome: Outcome) -> None:
    result = (
        f"{outcome.messages:,}",
        str(outcome.lost),
        str(outcome.twice),
        "kept" if outcome.passed else "BROKEN",
    )
    waits = {fault.name: "" for fault in outcome.injected}
    for span in outcome.waits:
        waits[span.fault] += (
            f"{', ' if waits[span.fault] else ''}{span.kind} {span.longest_s:.1f} ({span.quiet_s:.1f})"
        )
    for place, fault in enumerate(outcome.injected):
        of_run = (str(outcome.seed), result) if place == 0 else ("", ("",) * len(result))
        table.add_row(of_run[0], fault.name, describe(fault), waits[fault.name], *of_run[1])
    table.add_section()


def _print_breaches(outcome: Outcome, console: Console) -> None:
    console.print(f"seed {outcome.seed}:", style="bold red")
    if not outcome.came_to_rest:
        console.print("  not everything came to rest in time", markup=False)
    for verdict in outcome.verdicts:
        if not verdict.is_kept:
            console.print(f"  broken: {verdict.promise} ({len(verdict.violations)} times)", markup=False)
            for violation in verdict.violations[:_SHOWN]:
                console.print(f"    {violation}", markup=False)
    console.print(f"  logs: {outcome.logs}\n  replay: make faults SEED={outcome.seed}", markup=False)
