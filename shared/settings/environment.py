"""Reads what settings are made of: variables, `…_FILE` twins, the file of business numbers.

Owns how a bad value is told in one line. Does not know the settings themselves (`shared.settings.settings`).
"""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.errors import SettingsError
from shared.masking import mask_secrets
from shared.settings.server_urls import check_server_url

_log = logging.getLogger(__name__)
_SHOWN_CHARACTERS = 200
#: Of a number's entry only these are repeated: a misspelt key may hold a token, too.
_NUMBER_KEYS_SHOWN = ("mps", "api_url")


def read_variable(environ: Mapping[str, str], name: str, *, secret: bool) -> str | None:
    """The value of `name`, for a secret else the content of the file that `<name>_FILE` names.

    None where neither is set; empty counts as not set. Raises SettingsError.
    """
    value = environ.get(name, "").strip() or None
    twin = f"{name}_FILE"
    path = environ.get(twin, "").strip() if secret else ""
    if not path:
        return value
    if value is not None:
        raise SettingsError(f"{twin}: must not be set together with {name}")
    content = _read_text(twin, Path(path)).strip()
    if not content:
        raise SettingsError(f"{twin}: must name a file that is not empty, got {path!r}")
    return content


class UrlFile:
    """The URL that a file holds, read anew for each connection: its password may have been changed.

    While the file is of no use (it is just being written), the URL is what it was.
    """

    def __init__(self, name: str, path: str, schemes: tuple[str, ...], url: str) -> None:
        self._name = name
        self._environ = {f"{name}_FILE": path}
        self._schemes = schemes
        self._url = url

    def __call__(self) -> str:
        try:
            found = read_variable(self._environ, self._name, secret=True)
            self._url = check_server_url(found or "", self._schemes)
        except SettingsError as error:
            _log.warning("%s; the URL read last is used", error)
        except ValueError as error:
            _log.warning("%s_FILE: the URL %s; the one read last is used", self._name, error)
        return self._url


def origin_of(environ: Mapping[str, str], name: str, *, secret: bool) -> str:
    """Where `read_variable` has the value from: the environment, a file, or neither (default)."""
    if environ.get(name, "").strip():
        return "environment"
    path = environ.get(f"{name}_FILE", "").strip() if secret else ""
    return f"file {path}" if path else "default"


def read_numbers(path: Path) -> dict[str, dict[str, object]]:
    """The entries of WHATSAPP_NUMBERS_FILE by phone number id, each `token_file` read into its `token`.

    A relative `token_file` is looked up beside the file. Raises SettingsError.
    """
    variable = "WHATSAPP_NUMBERS_FILE"
    try:
        numbers = orjson.loads(_read_text(variable, path))
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{variable}: must hold JSON ({error}), got {str(path)!r}") from None
    if not isinstance(numbers, dict) or not all(isinstance(entry, dict) for entry in numbers.values()):
        raise SettingsError(
            f"{variable}: must hold a JSON object of objects, one per number, got {str(path)!r}"
        )
    return {number: _read_token(variable, number, entry, path.parent) for number, entry in numbers.items()}


def explain(error: ValidationError, *, secrets: Collection[str]) -> SettingsError:
    """The first fault of `error` in one line: the variable, the rule and, save for `secrets`, the value."""
    fault = error.errors(include_url=False)[0]
    field, *inside = fault["loc"]
    name = str(field).upper()
    if name == "WHATSAPP_NUMBERS":
        return SettingsError(_explain_number(fault, [str(part) for part in inside]))
    got = "" if name in secrets else f", got {_shown(fault['input'])}"
    return SettingsError(f"{name}: {_rule(fault)}{got}")


def _read_text(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{variable}: must name a readable file ({cause}), got {str(path)!r}") from None


def _read_token(variable: str, number: str, entry: Mapping[str, object], folder: Path) -> dict[str, object]:
    rest = {name: value for name, value in entry.items() if name != "token_file"}
    if "token_file" not in entry:
        return rest
    path = entry["token_file"]
    if "token" in rest or not isinstance(path, str) or not path:
        raise SettingsError(f"{variable}: number {number!r}: must give token or token_file, a path, not both")
    token = _read_text(variable, folder / path).strip()
    return rest | {"token": token}


def _explain_number(fault: ErrorDetails, inside: list[str]) -> str:
    number, *keys = inside
    key = ".".join(key for key in keys if key != "[key]")
    got = f", got {_shown(fault['input'])}" if key in _NUMBER_KEYS_SHOWN else ""
    return f"WHATSAPP_NUMBERS_FILE: number {number!r}: {f'{key!r} ' if key else ''}{_rule(fault)}{got}"


def _rule(fault: ErrorDetails) -> str:
    return (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "must")
        .replace("String should", "must")
        .replace("Value should", "must")
        .replace("Extra inputs are not permitted", "is not a known key (token, token_file, mps, api_url)")
    )


def _shown(value: object) -> str:
    return repr(mask_secrets(str(value))[:_SHOWN_CHARACTERS])
