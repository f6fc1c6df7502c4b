"""Asking before what cannot be undone: one question for every command that has such a deed.

Owns the option `--yes`, the question, and the refusal where nobody can answer. What a deed takes away is told
by its command, first.
"""

import sys
from typing import Final

import click

from shared.masking import escape_controls

#: `--yes`: of each command that cannot be undone.
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask; needed where no terminal can.")


class Unconfirmed(click.ClickException):
    """Nobody said yes. One line, and exit 2: the command was not complete."""

    exit_code = 2


def can_ask(*, as_json: bool) -> bool:
    """Whether a person sits at the other end, and no program reads what we print."""
    return sys.stdin.isatty() and not as_json


def demand_consent(deed: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Go on only where a person types `name`, or with `--yes`. `deed`: what would be done, as a sentence.

    Raises Unconfirmed.
    """
    if yes:
        return
    if not can_ask(as_json=as_json):
        raise Unconfirmed(f"{escape_controls(deed)}: this cannot be undone; say it with --yes")
    click.echo(f"{escape_controls(deed)}. This cannot be undone.", err=True)
    typed = click.prompt(f"Type {escape_controls(name)} to go on", default="", show_default=False, err=True)
    if typed.strip() != name:
        raise Unconfirmed("not confirmed, nothing was done")
