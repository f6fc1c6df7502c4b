"""`wabus settings`: what is in force here, and where it comes from.

Owns the showing. No secret is shown: of a URL where it leads, of a token that there is one.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import SecretStr

from shared.masking import MASK, mask_secrets
from shared.settings.environment import origin_of
from shared.settings.settings import SECRETS, Settings
from workers.cli.operation import json_option, read_settings
from workers.cli.printing import print_json, print_table
from workers.registry import METRICS_PORTS

_EPILOG: Final = """\b
Example:
  wabus settings
  set -a; . .stack/env; set +a; wabus settings --json"""
#: What stands for a value that is not set.
_UNSET: Final[Mapping[str, str]] = {
    "WHATSAPP_ACCESS_TOKEN": "none",
    "CONSENT_WORDS_FILE": "none: the usual words, answers in English",
    "SUPPRESSION_KEY": "none: nothing stays of whoever is erased",
    "BATCH_SIZE": "each worker's own",
    "BATCH_LINGER_MS": "each worker's own",
    "PREFETCH": "each worker's own",
    "METRICS_PORT": f"{min(METRICS_PORTS.values())} to {max(METRICS_PORTS.values())}, one per kind of worker",
    "LOG_FORMAT": "console on a terminal, else json",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "none: no spans are recorded",
    "OTEL_SERVICE_NAME": "wabus- and the worker's name",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: its value, secrets masked (None: not set), and where that comes from."""

    name: str
    value: str | float | bool | list[str] | None
    source: str


@click.command(epilog=_EPILOG)
@json_option
def settings(as_json: bool) -> None:
    """Show the settings that are in force, and whether each is a default, a variable or read from a file.

    Tokens and what is secret in URLs are masked. A variable that is spelt almost like a setting is named.
    """
    read = read_settings()
    found = [_describe(read, name) for name in Settings.variables()]
    found.append(_numbers_file(os.environ))
    numbers = [_number(read, number) for number in sorted(read.whatsapp_numbers)]
    if as_json:
        unknown = [{"name": name, "meant": meant} for name, meant in Settings.unknown(os.environ).items()]
        print_json({"settings": [asdict(item) for item in found], "numbers": numbers, "unknown": unknown})
        return
    print_table("", ("setting", "value", "from"), ((item.name, _shown(item), item.source) for item in found))
    if numbers:
        print_table(
            "Numbers of WHATSAPP_NUMBERS_FILE", numbers[0].keys(), (each.values() for each in numbers)
        )


def _describe(read: Settings, name: str) -> Setting:
    source = origin_of(os.environ, name, secret=name in SECRETS)
    if name == "MIGRATION_DATABASE_URL" and source == "default":
        source = "DATABASE_URL"
    value = getattr(read, name.lower())
    if isinstance(value, SecretStr) and not name.endswith("_URL"):
        return Setting(name, MASK, source)
    return Setting(name, _masked(value), source)


def _masked(value: Any) -> Any:
    match value:
        case SecretStr():
            return mask_secrets(value.get_secret_value())
        case Path():
            return str(value)
        case tuple():
            return list(value)
        case str():
            return mask_secrets(value)
        case _:
            return value


def _numbers_file(environ: Mapping[str, str]) -> Setting:
    path = environ.get("WHATSAPP_NUMBERS_FILE", "").strip() or None
    return Setting("WHATSAPP_NUMBERS_FILE", path, "environment" if path else "default")


def _number(read: Settings, number: str) -> dict[str, object]:
    """What the sender takes for one number: its own, else the settings'."""
    own = read.number(number)
    return {
        "number": number,
        "token": None if own.token is None else MASK,
        "mps": own.mps,
        "api_url": mask_secrets(own.api_url),
    }


def _shown(setting: Setting) -> object:
    match setting.value:
        case None:
            return _UNSET.get(setting.name, "none")
        case bool():
            return "on" if setting.value else "off"
        case list():
            return ", ".join(setting.value) or "any public host"
        case float():
            return f"{setting.value:g}"
        case _:
            return setting.value
