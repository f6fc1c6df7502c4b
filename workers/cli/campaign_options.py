"""The options of `wabus campaign launch`: from text to the campaign, the choice of columns, the definition.

Owns their syntax and how a wrong one is told. What fits a template is said in `shared.messaging.campaigns`.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from shared.messaging.campaigns.template import (
    MEDIA,
    Button,
    Definition,
    PartNames,
    TemplateContent,
    read_definition,
)
from shared.payloads import BroadcastCampaign
from shared.payloads.fields import parse_planned_time
from shared.settings.settings import Settings

_NAMES: Final = PartNames("--params", "--header", "--button")
_BUTTON: Final = re.compile(r"([0-9])=(?:(url|copy_code|quick_reply):)?(.+)")


def read_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Callback of `--at`."""
    if value is None:
        return None
    try:
        return parse_planned_time(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def read_campaign(settings: Settings, options: dict[str, Any]) -> BroadcastCampaign:
    """The campaign that the options describe; takes them out of `options`. Raises click.UsageError."""
    template, language = options.pop("template"), options.pop("language")
    text, number = options.pop("text"), options.pop("number")
    if (template is None) == (text is None):
        raise click.UsageError("Give either --template (with --language) or --text.")
    if (template is None) != (language is None):
        raise click.UsageError("--template and --language belong together.")
    content: dict[str, Any] = {"message_text": text}
    if template is not None:
        content = {"template": {"name": template, "language": language}}
    try:
        return BroadcastCampaign(
            phone_number_id=number or settings.whatsapp_phone_number_id, **content, **options
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


def read_choice(options: dict[str, Any]) -> TemplateContent:
    """Which columns fill the template; takes the options of its parts out of `options`.

    Raises click.UsageError.
    """
    params, header, buttons = options.pop("params"), options.pop("header"), options.pop("buttons")
    try:
        choice = TemplateContent(
            read_params(params), read_header(header), tuple(map(read_button, buttons)), names=_NAMES
        )
    except ValueError as error:
        raise click.UsageError(f"--params, --header, --button: {error}") from error
    if choice.is_made and options["template"] is None:
        raise click.UsageError("--params, --header and --button belong to --template.")
    return choice


def read_template_file(wanted: BroadcastCampaign, template_file: Path | None) -> Definition | None:
    """The definition of the campaign's template, where a file of it is given. Raises TemplateError."""
    if template_file is None:
        return None
    if wanted.template is None:
        raise click.UsageError("--template-file belongs to --template.")
    return read_definition(template_file, wanted.template.name, wanted.template.language)


def read_params(text: str | None) -> tuple[str, ...] | None:
    """`name,city`, or `none`. ValueError where a name is missing."""
    if text is None or text.strip().lower() == "none":
        return None if text is None else ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError("columns separated by commas, or none")
    return names


def read_header(text: str | None) -> tuple[str, str] | None:
    """`image=URL`, `document=column`, `text=column`. ValueError."""
    if text is None:
        return None
    kind, separator, value = text.partition("=")
    if not separator or not value.strip() or kind.strip().lower() not in (*MEDIA, "text"):
        raise ValueError(f"one of {', '.join(MEDIA)} or text, then = and a column or a URL")
    return kind.strip().lower(), value.strip()


def read_button(text: str) -> Button:
    """`0=column`, or `0=copy_code:column`. ValueError."""
    found = _BUTTON.fullmatch(text.strip())
    if found is None:
        raise ValueError("a button's index (0 to 9), then = and a column, such as 0=code or 0=copy_code:code")
    return Button(int(found[1]), found[3].strip(), found[2])
