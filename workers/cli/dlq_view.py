"""How `wabus dlq` shows dead letters: tables for people, plain values for programs.

Owns form only. What comes from a message is never taken for markup or for a terminal's control codes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

import click
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from shared.deadletters.choice import Choice
from shared.deadletters.letters import Letter, LetterLine
from shared.deadletters.reading import LetterPage
from shared.deadletters.replay import ReplayReport
from shared.masking import escape_controls
from workers.cli.ages import describe_age
from workers.cli.printing import open_console, print_facts, print_table

_SHORT: Final = 8
_NAMED: Final = 20
_BODY_CHARACTERS: Final = 20_000


def describe_page(page: LetterPage) -> dict[str, Any]:
    """`list --json`: of each the DLQMessage, and what else its line says."""
    letters = []
    for line in page.lines:
        values = asdict(line)
        values["timestamp"] = values.pop("created_at")
        values["retry_count"] = max(0, line.attempts - 1)
        values["original_payload"], values["raw_body_base64"] = page.bodies.get(line.id, (None, None))
        letters.append(values)
    return {"total": page.total, "counts": page.counts, "dead_letters": letters}


def describe_letter(letter: Letter) -> dict[str, Any]:
    """`show --json`: the DLQMessage, and what else the row says."""
    return {**letter.columns, **letter.message.model_dump(), "later_deaths": letter.later_deaths}


def print_page(page: LetterPage) -> None:
    """The table of `list`, then the counts of all that matches."""
    if not page.lines:
        click.echo("No dead letters match.")
        return
    digits = shorten([line.id for line in page.lines])
    rows = [
        (
            line.id.hex[:digits],
            describe_age(line.age_s),
            line.reason,
            _visible(line.source_queue),
            line.attempts,
            _visible(_error(line)),
        )
        for line in page.lines
    ]
    print_table("", ("id", "age", "reason", "queue", "attempts", "error"), rows, prose=("error",))
    shown = "" if page.total == len(page.lines) else f" ({len(page.lines)} shown)"
    click.echo(f"{page.total} dead letters{shown}: {describe_counts(page.counts)}")


def print_letter(letter: Letter) -> None:
    """Everything of one dead letter, its body last."""
    columns, message = letter.columns, letter.message
    facts = {
        "id": message.id,
        "status": columns["status"],
        "reason": message.reason,
        "error": message.error_message,
        "queue": message.source_queue,
        "exchange": columns["exchange"],
        "routing key": message.routing_key,
        "attempts": columns["attempts"],
        "stored": f"{message.timestamp:%Y-%m-%d %H:%M:%S} UTC, {describe_age(columns['age_s'])} ago",
        "message": columns["message_id"],
        "first of its chain": columns["replay_of"],
        "replays": columns["replay_count"] or None,
        "died again as": ", ".join(map(str, letter.later_deaths)) or None,
        "replayed": columns["replayed_at"],
        "dismissed": columns["dismissed_at"],
        "by": columns["resolved_by"],
        "why": columns["resolution"],
        "claimed until": columns["claimed_until"],
    }
    print_facts(f"Dead letter {message.id}", {name: _visible(value) for name, value in facts.items()})
    headers = json.dumps(message.headers, indent=2, ensure_ascii=False)
    console = open_console()
    for title, text in (("headers", headers), (f"body, {len(letter.raw_body)} bytes", _body(letter))):
        console.print(Text(f"\n{title}", style="bold"), plain_text(text), sep="\n", soft_wrap=True)


def describe_replay(choice: Choice, report: ReplayReport, *, dry_run: bool) -> dict[str, Any]:
    """`replay --json`. `chosen` counts what was to be tried, `not_tried` what was not any more."""
    return {
        "dry_run": dry_run,
        "chosen": len(choice.ids),
        "counts": choice.counts,
        "replayed": report.replayed,
        "failed": [{"id": letter, "error": error} for letter, error in report.failed],
        "taken_by_others": report.not_claimed,
        "needs_accept_duplicate": choice.guarded,
        "not_open": choice.not_open,
        "not_tried": _not_tried(choice, report, dry_run=dry_run),
    }


def print_replay(choice: Choice, report: ReplayReport, *, dry_run: bool) -> None:
    """What a replay came to, a line for each thing."""
    if dry_run:
        part = f"{len(choice.ids) - len(report.failed)} of " if report.failed else ""
        click.echo(f"Would replay {part}{_count(choice)}")
    else:
        click.echo(f"Replayed {len(report.replayed)} of {_count(choice)}")
    kept = "would stay" if dry_run else "failed, still pending"
    for letter, error in report.failed[:_NAMED]:
        click.echo(f"{kept}: {letter}: {escape_controls(str(error))}")
    if len(report.failed) > _NAMED:
        click.echo(f"{kept}: {len(report.failed) - _NAMED} more")
    for letter in report.not_claimed[:_NAMED]:
        click.echo(f"{letter} was taken by someone else meanwhile")
    if choice.guarded:
        click.echo(f"left out: {len(choice.guarded)} send_ambiguous, which need --accept-duplicate")
    if not_tried := _not_tried(choice, report, dry_run=dry_run):
        click.echo(f"not tried after that: {not_tried}")
    _name_not_open(choice)


def describe_dismissal(choice: Choice, dismissed: Sequence[UUID], *, dry_run: bool) -> dict[str, Any]:
    """`dismiss --json`."""
    return {
        "dry_run": dry_run,
        "chosen": len(choice.ids),
        "counts": choice.counts,
        "dismissed": dismissed,
        "not_open": choice.not_open,
    }


def print_dismissal(choice: Choice, dismissed: Sequence[UUID], *, dry_run: bool) -> None:
    """What a dismissal came to."""
    if dry_run:
        click.echo(f"Would dismiss {_count(choice)}")
    else:
        click.echo(f"Dismissed {len(dismissed)} of {_count(choice)}")
    _name_not_open(choice)


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr; gives what to call with each step."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("replaying", total=total)
        yield lambda done: bar.advance(task, done)


def _count(choice: Choice) -> str:
    counts = f": {describe_counts(choice.counts)}" if choice.counts else "."
    return f"{len(choice.ids)} dead letters{counts}"


def _not_tried(choice: Choice, report: ReplayReport, *, dry_run: bool) -> int:
    tried = len(report.replayed) + len(report.failed) + len(report.not_claimed)
    return 0 if dry_run else len(choice.ids) - tried


def _name_not_open(choice: Choice) -> None:
    for letter in choice.not_open:
        click.echo(f"{letter} is not open: replayed, dismissed, being replayed, or not what the filters say")


def describe_counts(counts: Mapping[str, int]) -> str:
    """`invalid_payload 3, unrouted 1`."""
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())


def shorten(ids: Sequence[UUID]) -> int:
    """How many digits tell these ids apart, at least 8."""
    digits = _SHORT
    while digits < 32 and len({one.hex[:digits] for one in ids}) < len(set(ids)):
        digits += 1
    return digits


def plain_text(text: str) -> Text:
    """Text as it is, control characters made visible."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return Text(shown)


def _visible(value: Any) -> Any:
    """Control characters in a text as one reads them, not left out."""
    return escape_controls(value) if isinstance(value, str) else value


def _error(line: LetterLine) -> str:
    """The error, after the status where that is not what one expects."""
    status = "replaying, lapsed" if line.lapsed else line.status
    error = line.error_message or ""
    return error if status == "pending" else f"[{status}] {error}"


def _body(letter: Letter) -> str:
    payload: Any = letter.message.original_payload
    if payload is not None:
        text = json.dumps(payload, indent=2, ensure_ascii=False)
    else:
        text = letter.raw_body.decode("utf-8", "backslashreplace")
    cut = "" if len(text) <= _BODY_CHARACTERS else "\n… (--json has all of it)"
    return text[:_BODY_CHARACTERS] + cut
