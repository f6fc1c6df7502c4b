"""The program `wabus`, which is also `python -m workers`.

Owns the list of commands and the exit codes: 0, 1 (failed), 2 (usage or settings). Each command lives in a
module that is imported only when it is asked for: of `workers.cli`, or of `deploy.commands` where it starts
servers or programs on this machine.
"""

import io
import os
import re
import signal
import sys
from importlib import import_module
from typing import Final

if sys.argv[1:2] == ["worker"]:
    # A worker that has not begun has nothing to drain. Process 1 of a container would lose the signal, and
    # what is imported below takes a second; the running worker puts its own handlers in place.
    for _number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(_number, lambda *_: os._exit(0))

import click

from shared.errors import SettingsError, WabusError
from shared.masking import escape_controls

#: Command name → module and the attribute that holds it.
_COMMANDS: Final = {
    "worker": "workers.cli.worker:worker",
    "migrate": "workers.cli.migrate:migrate",
    "topology": "workers.cli.topology:topology",
    "settings": "workers.cli.settings:settings",
    "doctor": "workers.cli.doctor:doctor",
    "top": "workers.cli.top:top",
    "stack": "deploy.commands.stack:stack",
    "demo": "deploy.commands.demo:demo",
    "sandbox": "deploy.commands.sandbox:sandbox",
    "dlq": "workers.cli.dlq:dlq",
    "message": "workers.cli.message:message",
    "campaign": "workers.cli.campaign:campaign",
    "number": "workers.cli.number:number",
    "profile": "workers.cli.profile:profile",
    "shop": "workers.cli.shop:shop",
    "cart": "workers.cli.cart:cart",
    "order": "workers.cli.order:order",
    "notice": "workers.cli.notice:notice",
    "why": "workers.cli.notice:why",
    "audit": "workers.cli.audit:audit",
}


_CLICKS_PREFIX: Final = "Error: "
#: What click puts before each item of a list.
_INDENT: Final = re.compile(r"^\t", re.MULTILINE)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wabus", prog_name="wabus")
def cli() -> None:
    """Carry WhatsApp traffic between customers and a contact centre over RabbitMQ.

    \b
    Example:
      wabus stack up && set -a && . .stack/env && wabus migrate && wabus topology declare && wabus worker all
    """


def main() -> None:
    """Run the command line; a user's mistake is one line, never a traceback."""
    try:
        cli.main(prog_name="wabus", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except SettingsError as error:
        click.echo(escape_controls(f"wabus: {error}"), err=True)
        sys.exit(2)
    except WabusError as error:
        click.echo(escape_controls(f"wabus: {error}"), err=True)
        sys.exit(1)


def _show(error: click.ClickException) -> None:
    """As click does, under our prefix, with what a terminal would obey escaped: it may quote others."""
    told = io.StringIO()
    error.show(told)
    for line in _INDENT.sub("  ", told.getvalue()).splitlines():
        ours = line.removeprefix(_CLICKS_PREFIX)
        click.echo(escape_controls(line if ours == line else f"wabus: {ours}"), err=True)


if __name__ == "__main__":
    main()
