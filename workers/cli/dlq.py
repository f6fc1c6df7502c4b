"""`wabus dlq`: dead letters listed, shown, replayed, dismissed.

Owns questions and exit codes; the work is `shared.deadletters`', the options `dlq_options`', the form
`dlq_view`'s.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

import click

from shared.deadletters.choice import Choice, choose
from shared.deadletters.edit import Edited, read_edited, text_of
from shared.deadletters.letters import Letter, Selection
from shared.deadletters.reading import LetterPage, NoBeginning, read_page, read_whole
from shared.deadletters.replay import Replayer, ReplayReport, rehearse
from shared.deadletters.replay_rate import Tally, replay_at_rate
from shared.deadletters.store import DeadLetterStore
from shared.durations import DURATIONS
from shared.errors import WabusError
from shared.observability.span_export import exporting_spans
from shared.postgres.database import Database
from shared.settings.settings import Settings
from workers.cli import dlq_view as view
from workers.cli.confirmation import Unconfirmed, can_ask, demand_consent, yes_option
from workers.cli.dlq_options import (
    accept_duplicate_option,
    all_option,
    demand_restriction,
    demand_unrouted,
    filter_options,
    routing_key_option,
)
from workers.cli.operation import by_option, json_option, read_settings, run_on_database, silence_logs
from workers.cli.printing import print_json
from workers.cli.publishing import PROGRAM, open_publisher

T = TypeVar("T")

_WHY: Final = "replayed by an operator"


@click.group(epilog="\b\nExample:\n  wabus dlq list --reason database_error --older-than 15m")
def dlq() -> None:
    """Look at dead letters, put them back to work, or dismiss them."""
    silence_logs()


@dlq.command("list", epilog="\b\nExample:\n  wabus dlq list --queue outbound-sender --newer-than 2h")
@filter_options
@click.option("--settled", is_flag=True, help="Those replayed or dismissed, instead of the open ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Rows shown.")
@json_option
def list_(settled: bool, limit: int, as_json: bool, **filters: Any) -> None:
    """List dead letters, the most pressing first, and count them by reason.

    The table shows no texts of messages; `show` and --json have them.
    """

    async def read(database: Database) -> LetterPage:
        store = DeadLetterStore(database)
        return await read_page(store, Selection(**filters), limit, settled=settled, with_bodies=as_json)

    page = _run(read_settings(), read)
    if as_json:
        print_json(view.describe_page(page))
    else:
        view.print_page(page)


@dlq.command(epilog="\b\nExample:\n  wabus dlq show 3f2a9c1e")
@click.argument("letter_id", metavar="ID")
@json_option
def show(letter_id: str, as_json: bool) -> None:
    """Show everything of one dead letter, the message's text too. A unique beginning of its id will do."""
    letter = _read_whole(read_settings(), letter_id)
    if as_json:
        print_json(view.describe_letter(letter))
    else:
        view.print_letter(letter)


@dlq.command(
    epilog="\b\nExample:\n  wabus dlq replay --reason lock_timeout --newer-than 2h --dry-run\n"
    "  wabus dlq replay --queue outbound-sender --limit 100 --rate 10\n  wabus dlq replay 3f2a9c1e\n"
    "  wabus dlq replay --reason unrouted --queue wa.outbound --routing-key reply.1001.491700000001"
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filter_options
@all_option
@click.option("--limit", type=click.IntRange(1), help="At most so many; alone, of everything open.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@accept_duplicate_option
@routing_key_option
@click.option("--dry-run", is_flag=True, help="Tell what would go back, change nothing.")
@by_option
@json_option
def replay(
    ids: tuple[str, ...],
    everything: bool,
    limit: int | None,
    rate: float | None,
    accept_duplicate: bool,
    routing_key: str | None,
    dry_run: bool,
    by: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Put dead letters back to the queue they died in, the most pressing first.

    Two who do so at once put each back once. An unrouted one goes back only where a queue of ours is bound
    for its routing key, or for --routing-key. Exits 1 where one that was named could not be put back, or any
    that was tried.
    """
    selection = Selection(**filters)
    demand_restriction(ids, selection, everything=everything, bounded=dry_run or limit is not None)
    settings = read_settings()

    async def work(database: Database) -> tuple[Choice, ReplayReport]:
        store = DeadLetterStore(database)
        choice = await choose(store, ids, selection, limit=limit, guard=not accept_duplicate)
        demand_unrouted(choice, routing_key)
        if dry_run or not choice.ids:
            return choice, await rehearse(database, choice.ids, routing_key)
        async with _open_replayer(settings, database) as replayer:

            async def replay_chunk(chunk: Sequence[UUID]) -> ReplayReport:
                return await replayer.replay(
                    chunk, by=by, why=_WHY, accept_duplicate=accept_duplicate, routing_key=routing_key
                )

            with view.progress(len(choice.ids), shown=not as_json) as advance:
                return choice, await replay_at_rate(replay_chunk, choice.ids, rate, advance, tally)

    tally = Tally()
    try:
        choice, report = _run(settings, work)
    except (KeyboardInterrupt, WabusError) as error:
        _tell_how_far(tally, error)
        raise
    _tell_replay(choice, report, as_json, dry_run=dry_run)
    unmet = ids and (choice.guarded or choice.not_open or report.not_claimed)
    undone = not dry_run and len(report.replayed) + len(report.not_claimed) < len(choice.ids)
    sys.exit(1 if unmet or undone else 0)


@dlq.command(epilog="\b\nExample:\n  wabus dlq edit 3f2a9c1e")
@click.argument("letter_id", metavar="ID")
@routing_key_option
@accept_duplicate_option
@by_option
@json_option
def edit(letter_id: str, routing_key: str | None, accept_duplicate: bool, by: str, as_json: bool) -> None:
    """Open the body of a dead letter in $EDITOR, and replay what is saved there.

    The new body must be what its queue takes, or nothing happens. The dead letter keeps the body with which
    it died, and says that another was replayed. Exits 1 where it was not replayed.
    """
    settings = read_settings()
    letter = _read_whole(settings, letter_id)
    edited = _edit(letter, routing_key)

    async def work(database: Database) -> ReplayReport:
        async with _open_replayer(settings, database) as replayer:
            return await replayer.replay(
                [letter.message.id],
                by=by,
                why=edited.why,
                accept_duplicate=accept_duplicate,
                routing_key=routing_key,
                body=edited.body,
            )

    report = _run(settings, work)
    _tell_replay(Choice((letter.message.id,), {letter.message.reason: 1}), report, as_json, dry_run=False)
    sys.exit(0 if report.replayed else 1)


@dlq.command(
    epilog='\b\nExample:\n  wabus dlq dismiss --reason unrouted --older-than 3d --why "test traffic"'
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filter_options
@all_option
@click.option("--why", required=True, help="Kept with each of them.")
@click.option("--dry-run", is_flag=True, help="Tell what would be dismissed, change nothing.")
@yes_option
@by_option
@json_option
def dismiss(
    ids: tuple[str, ...],
    everything: bool,
    why: str,
    dry_run: bool,
    yes: bool,
    by: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """Settle dead letters without a replay. They are kept for 30 days, with who and why.

    What is not named by its id is asked about first, with its number, or wants --yes.
    """
    selection = Selection(**filters)
    demand_restriction(ids, selection, everything=everything, bounded=dry_run)
    must_ask = not (ids or dry_run or yes)
    if must_ask and not can_ask(as_json=as_json):
        raise Unconfirmed("nobody can confirm here: give --yes, or --dry-run to count first")
    settings = read_settings()
    if must_ask:
        _confirm(settings, selection)

    async def work(database: Database) -> tuple[Choice, list[UUID]]:
        store = DeadLetterStore(database)
        choice = await choose(store, ids, selection)
        return choice, [] if dry_run else await store.dismiss(choice.ids, by=by, why=why)

    choice, dismissed = _run(settings, work)
    if as_json:
        print_json(view.describe_dismissal(choice, dismissed, dry_run=dry_run))
    else:
        view.print_dismissal(choice, dismissed, dry_run=dry_run)
    sys.exit(1 if choice.not_open or (ids and not dry_run and len(dismissed) < len(choice.ids)) else 0)


def _confirm(settings: Settings, selection: Selection) -> None:
    choice = _run(settings, lambda database: choose(DeadLetterStore(database), (), selection))
    if number := len(choice.ids):
        demand_consent(f"{number} dead letters would be dismissed", str(number), yes=False, as_json=False)


def _edit(letter: Letter, routing_key: str | None) -> Edited:
    """What a person makes of the body."""
    before = text_of(letter)
    after = click.edit(before, extension=".json", require_save=False)
    if after is None or after.strip() == before.strip():
        raise click.ClickException("the body was left as it is: nothing was replayed")
    return read_edited(letter, after, routing_key)


def _tell_replay(choice: Choice, report: ReplayReport, as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        print_json(view.describe_replay(choice, report, dry_run=dry_run))
    else:
        view.print_replay(choice, report, dry_run=dry_run)


def _tell_how_far(tally: Tally, error: BaseException) -> None:
    """An interrupted replay: what went back is back; what was claimed is open again soon."""
    report = tally.report
    if report.replayed or isinstance(error, KeyboardInterrupt):
        failed = f", {len(report.failed)} failed" if report.failed else ""
        told = (
            f"wabus: interrupted: replayed {len(report.replayed)} of {tally.total}{failed}; the rest is open"
        )
        click.echo(told, err=True)


def _read_whole(settings: Settings, letter_id: str) -> Letter:
    return _run(settings, lambda database: read_whole(DeadLetterStore(database), letter_id))


@asynccontextmanager
async def _open_replayer(settings: Settings, database: Database) -> AsyncIterator[Replayer]:
    """A replayer with a connection of its own. Raises BrokerUnavailable at once where RabbitMQ is away."""
    async with (
        exporting_spans(settings, PROGRAM),
        open_publisher(settings, name="wabus dlq") as publisher,
    ):
        yield Replayer(database, publisher, DURATIONS)


def _run(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run with a database; what is no id at all is a usage error."""
    try:
        return run_on_database(settings, work)
    except NoBeginning as error:
        raise click.UsageError(str(error)) from error
