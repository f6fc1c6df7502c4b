"""`wabus message show`: where a message is and what became of it.

Owns the showing; what is found is `shared.messaging.messages.story`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from shared.messaging.messages.story import Row, Story, look_up
from workers.cli.operation import json_option, read_settings, run_on_database
from workers.cli.printing import print_facts, print_json, print_table, tell_shown

_EPILOG: Final = """\b
Example:
  wabus message show wamid.HBgMNDkxNzAwMDAwMDAxFQIAERgS
  wabus message show +491700000001 --limit 20"""
_SUMMARY: Final = ("id", "created_at", "direction", "status", "message_type", "lane", "wamid", "error_code")
_LETTER: Final = ("id", "reason", "status", "created_at", "source_queue", "attempts", "error_message")
_STEP: Final = ("at", "ms", "total_ms", "step")
#: Columns of sentences, which may be folded; ids and times may not.
_PROSE: Final = ("error message", "errors")
_NESTED: Final = {
    "messages",
    "attempts",
    "status_events",
    "deferral",
    "dead_letters",
    "steps",
    "mapping_id",
    "message_count",
    "aliases",
}


@click.group(epilog=_EPILOG)
def message() -> None:
    """Follow one message, or the last ones of a customer."""


@message.command(epilog=_EPILOG)
@click.argument("reference", metavar="WAMID|ID|PHONE|TRACE_ID")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Messages per conversation."
)
@click.option("--all", "everything", is_flag=True, help="Every message, conversation and dead letter.")
@json_option
def show(reference: str, limit: int, everything: bool, as_json: bool) -> None:
    """Show a message's conversation, its steps from webhook to read with the milliseconds between them, its
    attempts, status events, deferral and dead letters; never its text.

    ID is ours, the agent platform's, the application's, or a conversation's; PHONE a phone number or a
    business-scoped id. TRACE_ID is what logs and events call trace_id, or that of a span: of a message that
    came in or was to be sent, its statuses included; of a status that changed one in the last 8 days; of what
    died or waits. Of a trace, the steps of all its messages come first. Exits 1 where nothing is found.
    """
    settings = read_settings()
    story = run_on_database(
        settings, lambda database: look_up(database, reference, None if everything else limit)
    )
    if story.is_empty:
        raise click.ClickException(f"{reference.strip()}: not found")
    if as_json:
        print_json(asdict(story))
    else:
        _print_story(story)


def _print_story(story: Story) -> None:
    if len({step["message_id"] for step in story.steps}) > 1:
        _print_rows("Steps of the trace", story.steps, (*_STEP, "message_id"))
    for mapping in story.mappings:
        _print_mapping(mapping)
        if story.found_by in ("message", "trace"):
            for item in mapping["messages"]:
                _print_message(item)
        else:
            _print_rows("Messages", mapping["messages"], _SUMMARY)
            tell_shown(len(mapping["messages"]), mapping["message_count"], "messages")
    tell_shown(len(story.mappings), story.counts.get("conversations", 0), "conversations")
    _print_rows("Status events without a message", story.status_events, _event_columns(story.status_events))
    _print_rows("Dead letters", story.dead_letters, _LETTER)
    tell_shown(len(story.dead_letters), story.counts.get("dead_letters", 0), "dead letters")


def _print_mapping(mapping: Row) -> None:
    facts = _facts(mapping) | {"earlier conversations": ", ".join(mapping["aliases"]) or None}
    print_facts(f"Conversation of {mapping['wa_id']} with {mapping['phone_number_id']}", facts)


def _print_message(item: Row) -> None:
    print_facts(f"Message {item['id']}", _facts(item))
    _print_rows("Steps", item["steps"], _STEP)
    _print_rows("Attempts", item["attempts"], _attempt_columns(item["attempts"]))
    _print_rows("Status events", item["status_events"], _event_columns(item["status_events"]))
    if item["deferral"] is not None:
        columns = ("reason", "not_before", "due", "republished", "queue", "created_at")
        _print_rows("Deferred", [item["deferral"]], columns)
    _print_rows("Dead letters", item["dead_letters"], _LETTER)


def _attempt_columns(attempts: Iterable[Row]) -> Sequence[str]:
    """What the platform says of a message that it holds, only where it holds one."""
    held = ("message_status",) if any(attempt["message_status"] for attempt in attempts) else ()
    times = ("started_at", "finished_at")
    return ("attempt", "outcome", *held, *times, "http_status", "error_code", "wamid", "error_message")


def _event_columns(events: Iterable[Row]) -> Sequence[str]:
    """Errors only where there are any."""
    columns = ("received_at", "occurred_at", "source", "status", "outcome")
    return (*columns, "errors") if any(event["errors"] for event in events) else columns


def _print_rows(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    if rows:
        names = (name.removesuffix("_at").replace("_", " ") for name in columns)
        print_table(title, names, ([_cell(row[name]) for name in columns] for row in rows), _PROSE)


def _facts(row: Row) -> Row:
    return {name.replace("_", " "): value for name, value in row.items() if name not in _NESTED}


def _cell(value: Any) -> Any:
    """The platform's errors in one line; anything else as it is."""
    if not isinstance(value, list):
        return value
    errors = [error for error in value if isinstance(error, dict)]
    return "; ".join(f"{error.get('code')} {error.get('title') or ''}".strip() for error in errors)
