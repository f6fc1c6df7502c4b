"""A template's parts from a list: which columns fill body, header and buttons, and whether they fit it.

Owns the choice of columns and its check against the template's definition, as the Graph API returns it
(`GET /{waba}/message_templates`). Reads that one file and no list.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import WabusError
from shared.messaging.campaigns.rendering import (
    MissingVariable,
    flatten,
    names_used,
    render_template,
    texts_of,
)
from shared.payloads import Template

#: Kinds of a header that show a file.
MEDIA: Final = ("image", "video", "document")
#: Of a body with its parameters filled in (error 132005).
_BODY_CHARACTERS: Final = 1024
_DEFINITION_BYTES: Final = 1024 * 1024
#: What Meta's button types take in a send; the others take nothing.
_SUB_TYPES: Final[Mapping[str, str]] = {"URL": "url", "COPY_CODE": "copy_code", "OTP": "url"}


class TemplateError(WabusError):
    """The columns do not fit the template; the text says which part."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button that takes a column's value. `kind` None: as the definition says, else `url`."""

    index: int
    column: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class PartNames:
    """What the parts of a choice are called where it was made: errors call them so."""

    params: str = "params"
    header: str = "header"
    button: str = "button"


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """What an operator asked for. `params` None: nothing; empty: the body takes none."""

    params: tuple[str, ...] | None = None
    header: tuple[str, str] | None = None
    buttons: tuple[Button, ...] = ()
    names: PartNames = PartNames()

    @property
    def is_made(self) -> bool:
        return self.params is not None or self.header is not None or bool(self.buttons)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a template takes. `body` and `header_names` in their order; `buttons`: kind by index."""

    is_named: bool
    body: tuple[str, ...]
    header: str | None
    header_names: tuple[str, ...]
    buttons: Mapping[int, str]
    text: str = ""


def read_definition(path: Path, name: str, language: str) -> Definition:
    """The definition of this template in a file of one, or of a list as the Graph API answers.

    Raises TemplateError.
    """
    for found in _templates(path):
        if (found.get("name", name), found.get("language", language)) == (name, language):
            return _read(path, found)
    raise TemplateError(f"{path}: no template {name} in language {language}")


def choose(
    choice: TemplateContent, definition: Definition | None, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Components with placeholders for the columns. Raises TemplateError where something does not fit.

    Empty: neither asked for nor defined, so that every column becomes a parameter of the body.
    """
    if definition is None and not choice.is_made:
        return []
    params = _params(choice, definition, columns)
    parts = [_header(choice, definition), _body(params, definition)]
    components = [part for part in parts if part is not None]
    components += [_button(button, definition) for button in choice.buttons]
    _check_buttons(choice, definition)
    missing = sorted(names_used(components) - set(columns))
    if missing:
        there = ", ".join(columns) or "none"
        raise TemplateError(f"no column for {', '.join(missing)} of the template (there are: {there})")
    return components


def fill_parts(
    template: Template, choice: TemplateContent, definition: Definition | None, columns: Sequence[str]
) -> Template:
    """The template with components from `choose`. Raises TemplateError where something does not fit."""
    components = choose(choice, definition, columns)
    if not components and (definition is not None or choice.is_made):
        # where there is no component at all, every column is a parameter
        components = [{"type": "body", "parameters": []}]
    return template.model_copy(update={"components": components})


def fault_of(template: Template, definition: Definition | None, variables: object) -> str | None:
    """Why this row cannot be sent with the template; None where it can."""
    try:
        filled = render_template(template, texts_of(variables))
    except MissingVariable as missing:
        return str(missing)
    body = next((part for part in filled.components if part.get("type") == "body"), None)
    if definition is None or body is None:
        return None
    length = len(re.sub(r"\{\{[^{}]*\}\}", "", definition.text))
    length += sum(len(parameter["text"]) for parameter in body["parameters"])
    return f"the body has {length} characters, of {_BODY_CHARACTERS}" if length > _BODY_CHARACTERS else None


def count_flattened(template: Template, variables: object) -> int:
    """How many values of a row change because the Cloud API refuses their line breaks, tabs or blanks."""
    texts = texts_of(variables)
    used = names_used(template.components) if template.components else texts.keys()
    return sum(flatten(texts[name]) != texts[name] for name in used if name in texts)


def _params(
    choice: TemplateContent, definition: Definition | None, columns: Sequence[str]
) -> tuple[str, ...]:
    if definition is None:
        return tuple(columns) if choice.params is None else choice.params
    params = definition.body if choice.params is None else choice.params
    if len(params) != len(definition.body):
        raise TemplateError(
            f"body: the template takes {len(definition.body)} parameters, "
            f"{choice.names.params} names {len(params)}"
        )
    if definition.is_named and set(params) != set(definition.body):
        raise TemplateError(f"body: the template takes {', '.join(definition.body)}, got {', '.join(params)}")
    if choice.params is None and not set(params) <= set(columns):
        missing = ", ".join(sorted(set(params) - set(columns)))
        raise TemplateError(
            f"body: no column for {missing}: name the columns in their order with {choice.names.params}"
        )
    return params


def _body(params: Sequence[str], definition: Definition | None) -> dict[str, Any] | None:
    if not params:
        return None
    is_named = definition.is_named if definition else not any(name.isdigit() for name in params)
    return {"type": "body", "parameters": [_text(name, name if is_named else None) for name in params]}


def _header(choice: TemplateContent, definition: Definition | None) -> dict[str, Any] | None:
    kind, value = choice.header or (None, "")
    if definition is not None:
        needed = definition.header if definition.header != "text" or definition.header_names else None
        if needed is not None and needed not in (*MEDIA, "text"):
            raise TemplateError(f"header: a {needed} cannot be sent from a list")
        if kind != needed:
            got = "none is given" if kind is None else f"{choice.names.header} gives {kind}"
            raise TemplateError(f"header: the template takes {needed or 'none that varies'}, {got}")
    if kind is None:
        return None
    if kind == "text":
        name = definition.header_names[0] if definition and definition.is_named else None
        return {"type": "header", "parameters": [_text(value, name)]}
    link = value if "://" in value else _placeholder(value)
    return {"type": "header", "parameters": [{"type": kind, kind: {"link": link}}]}


def _button(button: Button, definition: Definition | None) -> dict[str, Any]:
    defined = definition.buttons.get(button.index) if definition else None
    kind = button.kind or defined or "url"
    value = _placeholder(button.column)
    parameter = {
        "url": {"type": "text", "text": value},
        "copy_code": {"type": "coupon_code", "coupon_code": value},
        "quick_reply": {"type": "payload", "payload": value},
    }[kind]
    return {"type": "button", "sub_type": kind, "index": str(button.index), "parameters": [parameter]}


def _check_buttons(choice: TemplateContent, definition: Definition | None) -> None:
    given = [button.index for button in choice.buttons]
    if len(set(given)) < len(given):
        raise TemplateError(f"buttons: one {choice.names.button} for each index")
    if definition is None:
        return
    for index, kind in definition.buttons.items():
        if index not in given and kind != "quick_reply":
            raise TemplateError(
                f"buttons: button {index} takes a {kind} value: give {choice.names.button} {index}=COLUMN"
            )
    for button in choice.buttons:
        defined = definition.buttons.get(button.index)
        if defined is None or (button.kind or defined) != defined:
            takes = f"a {defined} value" if defined else "no value"
            raise TemplateError(f"buttons: button {button.index} of the template takes {takes}")


def _text(column: str, name: str | None) -> dict[str, str]:
    named = {} if name is None else {"parameter_name": name}
    return {"type": "text", **named, "text": _placeholder(column)}


def _placeholder(column: str) -> str:
    if not column.strip() or "{" in column or "}" in column:
        raise TemplateError(f"no column can be named {column!r}")
    return f"{{{{{column}}}}}"


def _templates(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_DEFINITION_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise TemplateError(f"{path}: not JSON") from None
    found = content.get("data", [content]) if isinstance(content, dict) else content
    for item in found if isinstance(found, list) else ():
        if isinstance(item, dict) and isinstance(item.get("components"), list):
            yield item


def _read(path: Path, found: Mapping[str, Any]) -> Definition:
    parts = {part["type"].upper(): part for part in found["components"] if _is_part(part)}
    if "BODY" not in parts:
        raise TemplateError(f"{path}: the template has no BODY among its components")
    header, body = parts.get("HEADER", {}), parts["BODY"]
    header_text = str(header.get("text", ""))
    kind = str(header.get("format", "TEXT")).lower() if header else None
    text = str(body.get("text", ""))
    is_named = str(found.get("parameter_format", "")).upper() == "NAMED" or any(
        not name.isdigit() for name in names_used([text, header_text])
    )
    is_code = str(found.get("category", "")).upper() == "AUTHENTICATION"
    return Definition(
        is_named=is_named,
        body=_ordered(text) or (("1",) if is_code else ()),
        header=kind,
        header_names=_ordered(header_text),
        buttons=dict(_taking(parts.get("BUTTONS", {}).get("buttons"))),
        text=text,
    )


def _is_part(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _ordered(text: str) -> tuple[str, ...]:
    """Names of the placeholders: numbers by their value, names as they come first."""
    names = dict.fromkeys(name.strip() for name in re.findall(r"\{\{([^{}]*)\}\}", text) if name.strip())
    if all(name.isascii() and name.isdigit() and len(name) < 4 for name in names):
        return tuple(sorted(names, key=int))
    return tuple(names)


def _taking(buttons: object) -> Iterator[tuple[int, str]]:
    """Index and kind of the buttons that take a value of each recipient, or may take one."""
    for index, button in enumerate(buttons if isinstance(buttons, list) else ()):
        if not isinstance(button, dict):
            continue
        kind = str(button.get("type", "")).upper()
        if kind == "QUICK_REPLY":
            yield index, "quick_reply"
        elif kind in _SUB_TYPES and (kind != "URL" or names_used(button.get("url"))):
            yield index, _SUB_TYPES[kind]
