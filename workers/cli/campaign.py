"""`wabus campaign launch|status|pause|resume|cancel`.

Owns options, questions and exit codes. What is done is done in `shared.messaging.campaigns`.
"""

import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import click

from shared.errors import WabusError
from shared.messaging.campaigns import launch as launching
from shared.messaging.campaigns.control import (
    Action,
    Controlled,
    UnknownCampaign,
    is_cancellable,
    request_control,
)
from shared.messaging.campaigns.file import check_file, read_columns
from shared.messaging.campaigns.status import CampaignStatus, read_statuses
from shared.messaging.campaigns.template import fill_parts
from shared.observability.span_export import exporting_spans
from shared.payloads import Category
from shared.payloads.outbound import OnAmbiguous
from shared.postgres.database import Database
from shared.settings.settings import Settings
from workers.cli.campaign_options import read_campaign, read_choice, read_template_file, read_time
from workers.cli.campaign_telling import (
    confirm,
    progress,
    refuse,
    tell_dry_run,
    tell_launched,
    writing,
)
from workers.cli.campaign_view import print_for_programs, print_status, print_statuses
from workers.cli.confirmation import demand_consent, yes_option
from workers.cli.operation import by_option, json_option, read_settings, run_on_database, silence_logs
from workers.cli.printing import WATCH_S, print_json
from workers.cli.publishing import PROGRAM, open_publisher

#: What helps who named a campaign that is not there.
_LISTED: Final = "; `wabus campaign status` lists them"
_LAUNCH_EXAMPLES: Final = """\b
Example:
  wabus campaign launch customers.csv --id spring --template welcome --language en --dry-run
  wabus campaign launch customers.csv --id spring --template welcome --language en --yes
  wabus campaign launch customers.csv --id hours --text 'Hello {{name}}, we are open' --at 2026-12-01T09:00Z

\b
customers.csv:
  wa_id,name
  +491700000001,Ana
  +491700000002,Ben"""


@click.group(epilog="\b\nExample:\n  wabus campaign status\n  wabus campaign pause spring")
def campaign() -> None:
    """Launch a campaign from a file, follow it, and stop it."""
    silence_logs()


@campaign.command(epilog=_LAUNCH_EXAMPLES)
@click.argument("path", metavar="FILE.csv", type=click.Path(path_type=Path))
@click.option(
    "--id", "campaign_id", required=True, metavar="ID", help="The campaign's id: yours to choose, once."
)
@click.option(
    "--number", metavar="ID", help="Business number to send from.  [default: WHATSAPP_PHONE_NUMBER_ID]"
)
@click.option("--template", metavar="NAME", help="Approved template; needs --language.")
@click.option("--language", metavar="CODE", help="Language of the template, such as en or pt_BR.")
@click.option(
    "--params", metavar="COLUMNS", help="Columns that fill the template's body, such as name,city; or none."
)
@click.option(
    "--header", metavar="KIND=VALUE", help="Of the template: image, video, document or text=COLUMN or URL."
)
@click.option(
    "--button", "buttons", multiple=True, metavar="N=COLUMN", help="Value of button N (URL's end, code)."
)
@click.option(
    "--template-file",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="The template as the Graph API returns it: what is given is checked against it.",
)
@click.option("--text", metavar="TEXT", help="Free text instead: reaches only whom wrote within 24 hours.")
@click.option("--name", metavar="TEXT", help="What people call it.")
@click.option(
    "--category", type=click.Choice(get_args(Category)), help="What it is about.  [default: marketing]"
)
@click.option(
    "--on-ambiguous",
    type=click.Choice(get_args(OnAmbiguous)),
    help="What becomes of a message of which nobody knows whether it was sent.  [default: fail]",
)
@click.option(
    "--skip-invalid",
    "refused_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write lines that are wrong to FILE, with the reason, and go on without them.",
)
@click.option(
    "--batch-size", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Recipients a batch."
)
@click.option(
    "--batch-delay-ms",
    type=click.IntRange(0, 86_400_000),
    default=1000,
    show_default=True,
    help="Between batches.",
)
@click.option(
    "--at",
    "scheduled_at",
    callback=read_time,
    metavar="TIME",
    help="Not before: ISO 8601; UTC where it has no zone.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check all of the file, say who would be skipped; change nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@json_option
def launch(
    path: Path,
    dry_run: bool,
    yes: bool,
    by: str,
    as_json: bool,
    refused_path: Path | None,
    template_file: Path | None,
    **options: Any,
) -> None:
    """Send a template or a text to everyone in FILE.csv, each once.

    Its first line names the columns: `wa_id` or `phone` is the customer, every other one a variable. Text
    takes them as {{name}}; a template as the parameters of its body (only those of --params, where it is
    given), by name, or by position where columns are named 1, 2, 3 or --template-file says so. Who lacks one
    that is needed is skipped. The same command again does nothing new.
    """
    settings = read_settings()
    choice = read_choice(options)
    wanted = read_campaign(settings, options)
    definition = read_template_file(wanted, template_file)
    source = launching.RecipientSource(path, skip_invalid=refused_path is not None)
    if wanted.template is not None:
        template = fill_parts(wanted.template, choice, definition, read_columns(path))
        wanted = wanted.model_copy(update={"template": template})
    with writing(refused_path, path) as refused:
        checked = check_file(path, refused)
    refuse(path, wanted, checked, as_json, skip_invalid=source.skip_invalid)
    if dry_run:
        tell_dry_run(settings, wanted, source, definition, checked, as_json)
        return
    confirm(settings, wanted, checked, yes)

    async def work(database: Database) -> launching.Launched:
        async with exporting_spans(settings, PROGRAM), open_publisher(settings) as publisher:
            with progress("storing recipients", checked.recipients) as advance:
                return await launching.launch(database, publisher, wanted, source, by, advance)

    try:
        launched = run_on_database(settings, work)
    except launching.CampaignTaken as error:
        raise WabusError(f"{error}: choose another --id") from error
    if as_json:
        told = asdict(launched) | {"campaign_id": wanted.campaign_id, "duplicates": len(checked.duplicates)}
        print_json(told)
    else:
        tell_launched(wanted, checked, launched)


@campaign.command(epilog="\b\nExample:\n  wabus campaign status\n  wabus campaign status spring --json")
@click.argument("campaign_id", metavar="[ID]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Campaigns listed.")
@click.option("--watch", is_flag=True, help="Show it anew every two seconds, until it is over or Ctrl-C.")
@json_option
def status(campaign_id: str | None, limit: int, watch: bool, as_json: bool) -> None:
    """Show how far campaigns are: recipients by status, messages a second, time left, what holds them."""
    settings = read_settings()
    with suppress(KeyboardInterrupt) if watch else nullcontext():  # so ends it whoever watches
        while True:
            statuses = _show_statuses(settings, campaign_id, limit, as_json)
            if not watch or all(item.status in ("done", "cancelled") for item in statuses):
                return
            time.sleep(WATCH_S)
            if sys.stdout.isatty():
                click.clear()


def _show_statuses(
    settings: Settings, campaign_id: str | None, limit: int, as_json: bool
) -> list[CampaignStatus]:
    number = settings.whatsapp_phone_number_id
    statuses = run_on_database(settings, lambda database: read_statuses(database, campaign_id, limit, number))
    if campaign_id is not None and not statuses:
        raise click.ClickException(f"no campaign {campaign_id}{_LISTED}")
    if as_json:
        print_for_programs(statuses)
    elif campaign_id is not None:
        print_status(statuses[0])
    else:
        print_statuses(statuses)
    return statuses


_id = click.argument("campaign_id", metavar="ID")


@campaign.command(epilog="\b\nExample:\n  wabus campaign pause spring --by ana")
@_id
@by_option
@json_option
def pause(campaign_id: str, by: str, as_json: bool) -> None:
    """Stop sending; who was not reached waits for `resume`."""
    _control("pause", campaign_id, by, as_json)


@campaign.command(epilog="\b\nExample:\n  wabus campaign resume spring")
@_id
@by_option
@json_option
def resume(campaign_id: str, by: str, as_json: bool) -> None:
    """Go on where it was paused."""
    _control("resume", campaign_id, by, as_json)


@campaign.command(epilog="\b\nExample:\n  wabus campaign cancel spring\n  wabus campaign cancel spring --yes")
@_id
@yes_option
@by_option
@json_option
def cancel(campaign_id: str, yes: bool, by: str, as_json: bool) -> None:
    """Stop for good: who was not reached is skipped. There is no way back: it asks first."""
    if not yes:
        _ask_to_cancel(campaign_id, as_json)
    _control("cancel", campaign_id, by, as_json)


def _ask_to_cancel(campaign_id: str, as_json: bool) -> None:
    """Ask only about a campaign that a cancel would change."""
    settings = read_settings()
    if run_on_database(settings, lambda database: is_cancellable(database, campaign_id)):
        deed = f"Campaign {campaign_id} would be cancelled, and who was not reached skipped"
        demand_consent(deed, campaign_id, yes=False, as_json=as_json)


def _control(action: Action, campaign_id: str, by: str, as_json: bool) -> None:
    settings = read_settings()

    async def work(database: Database) -> Controlled:
        async with exporting_spans(settings, PROGRAM), open_publisher(settings) as publisher:
            return await request_control(database, publisher, action, campaign_id, by)

    try:
        controlled = run_on_database(settings, work)
    except UnknownCampaign as error:
        raise WabusError(f"{error}{_LISTED}") from error
    if as_json:
        print_json({"campaign_id": campaign_id, "action": action} | asdict(controlled))
    elif controlled.carried_out:
        click.echo(f"{campaign_id}: {controlled.status}")
    else:
        click.echo(
            f"{campaign_id}: {action} requested; not carried out yet (is a broadcast-batcher running?)"
        )
