"""`wabus dlq`: dead letters listed, shown, replayed, dismissed.

Owns options and exit codes; the work is `shared.deadletters`', what is chosen `dlq_choice`'s, the form
`dlq_view`'s.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import click

from shared.deadletters.choice import Choice, choose, demand_restriction, demand_unrouted, resolve
from shared.deadletters.edit import edit_body
from shared.deadletters.letters import Letter, Selection
from shared.deadletters.replay import ReplayReport, rehearse
from shared.deadletters.store import DeadLetterStore
from shared.errors import WabusError
from shared.postgres.database import Database
from shared.reasons import DeadReason
from shared.settings.settings import Settings
from workers.cli import dlq_view as view
from workers.cli.ages import read_age
from workers.cli.confirmation import Unconfirmed, can_ask, demand_consent, yes_option
from workers.cli.dlq_replay import Tally, open_replayer, replay_at_rate
from workers.cli.operation import by_option, json_option, read_settings, run_on_database, silence_logs

T = TypeVar("T")
Command = Callable[..., Any]

_FILTERS: Final = (
    click.option(
        "--reason",
        "reasons",
        multiple=True,
        type=click.Choice([reason.value for reason in DeadReason]),
        metavar="REASON",
        help="Only this reason; may be repeated.",
    ),
    click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="QUEUE",
        help="Only what died in this queue (unrouted: the exchange); may be repeated.",
    ),
    click.option(
        "--older-than",
        "--age",
        "older_than_s",
        callback=read_age,
        metavar="AGE",
        help="Stored longer ago: 15m, 2h, 3d.",
    ),
    click.option(
        "--newer-than",
        "newer_than_s",
        callback=read_age,
        metavar="AGE",
        help="Stored since then: 15m, 2h, 3d.",
    ),
)
_WHY: Final = "replayed by an operator"
_routing_key = click.option(
    "--routing-key", metavar="KEY", help="For unrouted ones: publish under this key, not their own."
)
_all = click.option("--all", "everything", is_flag=True, help="Everything open; no ids, no filters.")


def _filters(command: Command) -> Command:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group(epilog="\b\nExample:\n  wabus dlq list --reason database_error --older-than 15m")
def dlq() -> None:
    """Look at dead letters, put them back to work, or dismiss them."""
    silence_logs()


@dlq.command("list", epilog="\b\nExample:\n  wabus dlq list --queue outbound-sender --newer-than 2h")
@_filters
@click.option("--settled", is_flag=True, help="Those replayed or dismissed, instead of the open ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Rows shown.")
@json_option
def list_(settled: bool, limit: int, as_json: bool, **filters: Any) -> None:
    """List dead letters, the most pressing first, and count them by reason.

    The table shows no texts of messages; `show` and --json have them.
    """
    selection = Selection(**filters)

    async def show_lines(database: Database) -> None:
        store = DeadLetterStore(database)
        lines = await store.lines(selection, limit, settled=settled)
        counts = await store.count_by_reason(selection, settled=settled)
        if as_json:
            bodies = await store.bodies([line.id for line in lines])
            click.echo(view.lines_as_json(lines, counts, bodies))
        else:
            view.print_lines(lines, counts)

    _run(show_lines)


@dlq.command(epilog="\b\nExample:\n  wabus dlq show 3f2a9c1e")
@click.argument("letter_id", metavar="ID")
@json_option
def show(letter_id: str, as_json: bool) -> None:
    """Show everything of one dead letter, the message's text too. A unique beginning of its id will do."""

    async def read(database: Database) -> Letter | None:
        store = DeadLetterStore(database)
        return await store.get(await resolve(store, letter_id))

    letter = _run(read)
    if letter is None:
        raise click.ClickException(f"no dead letter {letter_id}")
    if as_json:
        click.echo(view.letter_as_json(letter))
    else:
        view.print_letter(letter)


@dlq.command(
    epilog="\b\nExample:\n  wabus dlq replay --reason lock_timeout --newer-than 2h --dry-run\n"
    "  wabus dlq replay --queue outbound-sender --limit 100 --rate 10\n  wabus dlq replay 3f2a9c1e\n"
    "  wabus dlq replay --reason unrouted --queue wa.outbound --routing-key reply.1001.491700000001"
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_filters
@_all
@click.option("--limit", type=click.IntRange(1), help="At most so many; alone, of everything open.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most so many a second.")
@click.option("--accept-duplicate", is_flag=True, help="send_ambiguous too: the customer may get it twice.")
@_routing_key
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
    demand_restriction(ids, filters, everything=everything, bounded=dry_run or limit is not None)

    async def work(database: Database) -> tuple[Choice, ReplayReport]:
        store = DeadLetterStore(database)
        choice = await choose(store, ids, filters, limit=limit, guard=not accept_duplicate)
        demand_unrouted(choice, routing_key)
        if dry_run or not choice.ids:
            return choice, await rehearse(database, choice.ids, routing_key)
        async with open_replayer(_settings(), database) as replayer:

            async def replay_chunk(chunk: Sequence[UUID]) -> ReplayReport:
                return await replayer.replay(
                    chunk, by=by, why=_WHY, accept_duplicate=accept_duplicate, routing_key=routing_key
                )

            with view.progress(len(choice.ids), shown=not as_json) as advance:
                return choice, await replay_at_rate(replay_chunk, choice.ids, rate, advance, tally)

    tally = Tally()
    try:
        choice, report = _run(work)
    except (KeyboardInterrupt, WabusError) as error:
        _tell_how_far(tally, error)
        raise
    if as_json:
        click.echo(view.replay_as_json(choice, report, dry_run=dry_run))
    else:
        view.print_replay(choice, report, dry_run=dry_run)
    unmet = ids and (choice.guarded or choice.not_open or report.not_claimed)
    undone = not dry_run and len(report.replayed) + len(report.not_claimed) < len(choice.ids)
    sys.exit(1 if unmet or undone else 0)


@dlq.command(epilog="\b\nExample:\n  wabus dlq edit 3f2a9c1e")
@click.argument("letter_id", metavar="ID")
@_routing_key
@click.option("--accept-duplicate", is_flag=True, help="send_ambiguous too: the customer may get it twice.")
@by_option
@json_option
def edit(letter_id: str, routing_key: str | None, accept_duplicate: bool, by: str, as_json: bool) -> None:
    """Open the body of a dead letter in $EDITOR, and replay what is saved there.

    The new body must be what its queue takes, or nothing happens. The dead letter keeps the body with which
    it died, and says that another was replayed. Exits 1 where it was not replayed.
    """

    async def read(database: Database) -> Letter | None:
        store = DeadLetterStore(database)
        return await store.get(await resolve(store, letter_id))

    letter = _run(read)
    if letter is None:
        raise click.ClickException(f"no dead letter {letter_id}")
    edited = edit_body(letter, routing_key)

    async def work(database: Database) -> ReplayReport:
        async with open_replayer(_settings(), database) as replayer:
            return await replayer.replay(
                [letter.message.id],
                by=by,
                why=edited.why,
                accept_duplicate=accept_duplicate,
                routing_key=routing_key,
                body=edited.body,
            )

    report = _run(work)
    choice = Choice((letter.message.id,), {letter.message.reason: 1})
    if as_json:
        click.echo(view.replay_as_json(choice, report, dry_run=False))
    else:
        view.print_replay(choice, report, dry_run=False)
    sys.exit(0 if report.replayed else 1)


@dlq.command(
    epilog='\b\nExample:\n  wabus dlq dismiss --reason unrouted --older-than 3d --why "test traffic"'
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_filters
@_all
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
    demand_restriction(ids, filters, everything=everything, bounded=dry_run)
    if not (ids or dry_run or yes):
        _ask_to_dismiss(filters, as_json)

    async def work(database: Database) -> tuple[Choice, list[UUID]]:
        store = DeadLetterStore(database)
        choice = await choose(store, ids, filters)
        return choice, [] if dry_run else await store.dismiss(choice.ids, by=by, why=why)

    choice, dismissed = _run(work)
    if as_json:
        click.echo(view.dismissal_as_json(choice, dismissed, dry_run=dry_run))
    else:
        view.print_dismissal(choice, dismissed, dry_run=dry_run)
    sys.exit(1 if choice.not_open or (ids and not dry_run and len(dismissed) < len(choice.ids)) else 0)


def _ask_to_dismiss(filters: Mapping[str, Any], as_json: bool) -> None:
    if not can_ask(as_json=as_json):
        raise Unconfirmed("nobody can confirm here: give --yes, or --dry-run to count first")

    async def count(database: Database) -> int:
        return len((await choose(DeadLetterStore(database), (), filters)).ids)

    if number := _run(count):
        demand_consent(f"{number} dead letters would be dismissed", str(number), yes=False, as_json=False)


def _tell_how_far(tally: Tally, error: BaseException) -> None:
    """An interrupted replay: what went back is back; what was claimed is open again soon."""
    report = tally.report
    if report.replayed or isinstance(error, KeyboardInterrupt):
        failed = f", {len(report.failed)} failed" if report.failed else ""
        told = (
            f"wabus: interrupted: replayed {len(report.replayed)} of {tally.total}{failed}; the rest is open"
        )
        click.echo(told, err=True)


def _settings() -> Settings:
    return read_settings()


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run with a database; what it raises is one line and exit 1."""
    return run_on_database(_settings(), work)
