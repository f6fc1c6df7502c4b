"""A campaign's content for one recipient: `{{name}}` and `{{1}}` filled with their variables. Pure.

A variable that is absent, null, empty or not a single value is missing: a message with a hole in it is worse
than none. Values are put in as they are: a placeholder inside of a value is text.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from shared.payloads import Template

#: A recipient's variables by name, each as the text that is put in; empty where it is missing.
Variables: TypeAlias = Mapping[str, str]

#: What is blank inside is none. (A pattern that said so would try every way to divide an unclosed one.)
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
#: What the Cloud API refuses in a parameter: line breaks, tabs, more than four blanks in a row.
_REFUSED_BLANKS: Final = re.compile(r"\s*[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]\s*|\s{5,}")
#: Of the name of a position, which may be any text of digits.
_POSITION_DIGITS: Final = 9


class MissingVariable(Exception):  # noqa: N818 - it says what happened
    """The content needs a variable that the recipient does not have. `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the variable {name!r} is missing")
        self.name = name


def texts_of(variables: object) -> Variables:
    """Variables as they came, in JSON's types, as text. Raises MissingVariable where they have no names."""
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):  # applications may fill the table, too
        raise MissingVariable("of any name")
    return {name.strip(): _text(value) for name, value in variables.items()}


def render_text(text: str, variables: Variables) -> str:
    """Fill the placeholders of one text. Raises MissingVariable."""
    return _PLACEHOLDER.sub(lambda match: _filled(match, variables), text)


def flatten(value: str) -> str:
    """A value as a template's parameter may hold it: each stretch of blanks that is refused is one blank."""
    return _REFUSED_BLANKS.sub(" ", value)


def render_template(template: Template, variables: Variables) -> Template:
    """Fill every string of the components with flattened values; raises MissingVariable.

    A part with an empty list of parameters is left out: that a template takes none is said so.
    A template without components takes all variables as parameters of its body: by position where there are
    numbers among the names (1, 2, 3 …; other names are left out), else by name.
    """
    variables = {name: flatten(value) for name, value in variables.items()}
    if template.components:
        parts = [part for part in template.components if part.get("parameters") != []]
        components = [_fill(part, variables) for part in parts]
    elif variables:
        components = [{"type": "body", "parameters": _parameters(variables)}]
    else:
        return template
    return template.model_copy(update={"components": components})


def flatten_parameters(template: Template) -> tuple[Template, int]:
    """The template with flattened texts among its parameters, and how many that changed."""
    changed = 0

    def flattened(parameter: Any) -> Any:
        nonlocal changed
        text = parameter.get("text") if isinstance(parameter, dict) else None
        if not isinstance(text, str) or flatten(text) == text:
            return parameter
        changed += 1
        return parameter | {"text": flatten(text)}

    components = [
        part | {"parameters": [flattened(parameter) for parameter in part["parameters"]]}
        if isinstance(part.get("parameters"), list)
        else part
        for part in template.components
    ]
    return (template.model_copy(update={"components": components}), changed) if changed else (template, 0)


def names_used(content: object) -> set[str]:
    """Names of the placeholders in a text, or in all strings of a template's components."""
    found = {match[1].strip() for text in _strings(content) for match in _PLACEHOLDER.finditer(text)}
    return found - {""}


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            return ""


def _filled(match: re.Match[str], variables: Variables) -> str:
    name = match[1].strip()
    return _value(name, variables) if name else match[0]


def _value(name: str, variables: Variables) -> str:
    value = variables.get(name, "")
    if not value.strip():
        raise MissingVariable(name)
    return value


def _fill(value: Any, variables: Variables) -> Any:
    match value:
        case str():
            return render_text(value, variables)
        case list():
            return [_fill(item, variables) for item in value]
        case dict():
            return {name: _fill(item, variables) for name, item in value.items()}
        case _:
            return value


def _parameters(variables: Variables) -> list[dict[str, str]]:
    positions = [name for name in variables if name.isascii() and name.isdigit()]
    if positions:
        last = max(int(position[:_POSITION_DIGITS]) for position in positions)
        count = len(positions)
        # a position beyond their count means that one up to the next is missing: no need to list them all
        names = [str(position) for position in range(1, min(max(last, count), count + 1) + 1)]
        return [{"type": "text", "text": _value(name, variables)} for name in names]
    return [{"type": "text", "parameter_name": name, "text": _value(name, variables)} for name in variables]


def _strings(content: object) -> Iterator[str]:
    match content:
        case str():
            yield content
        case list():
            for item in content:
                yield from _strings(item)
        case dict():
            for item in content.values():
                yield from _strings(item)
        case _:
            return
