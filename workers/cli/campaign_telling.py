"""What a launch says before and after: dry run, refusals, the question, progress."""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress

from shared.messaging.campaigns import launch as launching
from shared.messaging.campaigns.file import Checked, Problem, read_header_row
from shared.messaging.campaigns.template import Definition
from shared.payloads import BroadcastCampaign
from shared.postgres.database import Database
from shared.settings.settings import Settings
from workers.cli.campaign_view import describe_s
from workers.cli.operation import run_on_database
from workers.cli.printing import print_json, print_table

_SHOWN: Final = 20


@contextmanager
def writing(refused_path: Path | None, path: Path) -> Iterator[Callable[[Problem], None]]:
    """Where refused lines go: into a file that a spreadsheet opens, or nowhere."""
    if refused_path is None:
        yield lambda _: None
        return
    if refused_path.exists() and refused_path.samefile(path):
        raise click.UsageError("--skip-invalid: that is the list itself.")
    columns = read_header_row(path)
    try:
        with refused_path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("line", "reason", *columns))
            yield lambda problem: writer.writerow((problem.line, problem.error, *problem.cells))
    except OSError as error:
        raise click.ClickException(f"{refused_path}: {error.strerror}") from error


def refuse(
    path: Path, wanted: BroadcastCampaign, checked: Checked, as_json: bool, *, skip_invalid: bool
) -> None:
    """Stop at a file that is not right, and say all that is wrong with it."""
    launching.check_text(wanted, path, checked.columns)
    if checked.is_usable(skip_invalid=skip_invalid):
        if checked.problem_count:
            click.echo(f"{path}: {checked.problem_count} lines are refused and left out", err=True)
        return
    if as_json:
        print_json(
            {"errors": [asdict(problem) for problem in checked.problems], "count": checked.problem_count}
        )
    for problem in checked.problems[:_SHOWN]:
        click.echo(f"{path}: line {problem.line}: {problem.error}", err=True)
    if checked.problem_count > _SHOWN:
        click.echo(f"… and {checked.problem_count - _SHOWN} more", err=True)
    if not checked.problem_count:
        click.echo(f"{path}: no recipients", err=True)
    sys.exit(1)


def tell_dry_run(
    settings: Settings,
    wanted: BroadcastCampaign,
    source: launching.RecipientSource,
    definition: Definition | None,
    checked: Checked,
    as_json: bool,
) -> None:
    async def work(database: Database) -> launching.Survey:
        with progress("looking at recipients", checked.recipients) as advance:
            return await launching.survey(database, wanted, source, definition, advance)

    found = run_on_database(settings, work)
    skipped = found.skipped
    sent = checked.recipients - sum(skipped.values())
    if as_json:
        told = {"campaign_id": wanted.campaign_id, "recipients": checked.recipients, "would_send": sent}
        seconds = _duration_s(settings, wanted, sent)
        told |= {"skipped": skipped, "duplicates": checked.duplicates, "duration_s": seconds}
        faults = {"faults": [{"line": fault.line, "error": fault.error} for fault in found.faults]}
        print_json(told | faults | {"flattened": found.flattened, "refused": checked.problem_count})
        return
    rows = [("sent to", sent), *((f"skipped: {reason}", count) for reason, count in sorted(skipped.items()))]
    if checked.duplicates:
        rows.append((f"left out as duplicates ({lines(checked.duplicates)})", len(checked.duplicates)))
    if checked.problem_count:
        rows.append(("refused lines", checked.problem_count))
    print_table(f"campaign {wanted.campaign_id} would be", ("", "recipients"), rows)
    for fault in found.faults[:_SHOWN]:
        click.echo(f"{source.path}: line {fault.line}: {fault.error}")
    if found.fault_count > _SHOWN:
        click.echo(f"… and {found.fault_count - _SHOWN} more")
    if found.flattened:
        click.echo(f"{found.flattened} values with line breaks, tabs or many blanks would be made one line.")
    click.echo(f"It would take about {describe_s(_duration_s(settings, wanted, sent))}. Nothing was changed.")


def confirm(settings: Settings, wanted: BroadcastCampaign, checked: Checked, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody to ask: give --yes, or --dry-run first.")
    duration = describe_s(_duration_s(settings, wanted, checked.recipients))
    question = (
        f"Send to {checked.recipients} recipients from number {wanted.phone_number_id}, in about {duration}?"
    )
    click.confirm(question, abort=True, err=True)


def tell_launched(wanted: BroadcastCampaign, checked: Checked, launched: launching.Launched) -> None:
    if not launched.new:
        click.echo(f"{wanted.campaign_id} was launched before and is {launched.status}: nothing new.")
        return
    click.echo(f"{wanted.campaign_id}: launched with {launched.recipients} recipients.")
    if checked.duplicates:
        click.echo(f"{len(checked.duplicates)} duplicates left out ({lines(checked.duplicates)}).")
    if launched.same_customer:
        click.echo(
            f"{launched.same_customer} are further addresses of the same customers, who are sent to once."
        )
    if not launched.published:
        click.echo("RabbitMQ did not confirm the launch: the scheduler will publish it.", err=True)
    click.echo(f"Follow it with: wabus campaign status {wanted.campaign_id}")


def lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = ", …" if len(numbers) > _SHOWN else ""
    return f"line{'' if len(numbers) == 1 else 's'} {shown}{more}"


def _duration_s(settings: Settings, wanted: BroadcastCampaign, recipients: int) -> float:
    return launching.duration_s(wanted, recipients, settings.number(wanted.phone_number_id).mps)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for people, on the terminal's other stream: what programs read stays clean."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
