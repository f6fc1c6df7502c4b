"""Which variable of a template an error is about, as far as that can be told. Pure.

Owns the words in which a person finds it: component and place, or the parameter's name, with the length of
its value, and of a campaign the column of its list. Never the value: it is the message's text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.messaging.campaigns.rendering import names_used

#: The text became too long: the longest value is named where the details name none.
_TOO_LONG: Final = "132005"
_NAMED_AT_MOST: Final = 5
_NAME_CHARACTERS: Final = 60
#: `components[0].parameters[1]`, `['components'][0]['parameters'][1]` and the like.
_PATH: Final = re.compile(r"components\W{0,4}(\d{1,4})\W{0,6}parameters\W{0,4}(\d{1,4})")
#: `parameter 2`, `variable {{2}}`, `param #2`.
_PLACE: Final = re.compile(r"(?i)\b(?:param(?:eter)?|variable)\W{1,4}(\d{1,4})\b")


@dataclass(frozen=True, slots=True)
class Variable:
    """One parameter of a template. `component` and `place` count from 0; `columns`: what filled it."""

    kind: str
    component: int
    place: int
    name: str | None
    length: int
    columns: Sequence[str] = ()

    def __str__(self) -> str:
        which = self.name[:_NAME_CHARACTERS] if self.name else self.place + 1
        columns = " and ".join(column[:_NAME_CHARACTERS] for column in self.columns[:_NAMED_AT_MOST])
        source = f" from column {columns}" if columns else ""
        return f"{self.kind} variable {which}{source} ({self.length:,} characters)"


def name_variables(
    code: str, details: str, components: Sequence[Mapping[str, Any]], unfilled: object = None
) -> str:
    """The variable that the error is about; where that is open, all of them, the first few. Empty: none.

    `unfilled`: the template of the campaign, whose placeholders are columns; in whatever shape it is stored.
    """
    placeholders = _placeholders(unfilled)
    variables = [
        replace(item, columns=placeholders.get((item.component, item.place), ()))
        for item in _variables(components)
    ]
    named = _named(details, variables)
    if named is None and code == _TOO_LONG:
        named = max(variables, key=lambda item: item.length, default=None)
    found = variables if named is None else [named]
    more = ", …" if len(found) > _NAMED_AT_MOST else ""
    return ", ".join(str(item) for item in found[:_NAMED_AT_MOST]) + more


def _named(details: str, variables: Sequence[Variable]) -> Variable | None:
    if match := _PATH.search(details):
        at = int(match[1]), int(match[2])
        return next((item for item in variables if (item.component, item.place) == at), None)
    words = set(re.findall(r"\w+", details))
    by_name = [item for item in variables if item.name is not None and item.name in words]
    if by_name:
        return by_name[0]
    if match := _PLACE.search(details):
        place = int(match[1]) - 1
        said = [item for item in variables if item.place == place]
        of_kind = [item for item in said if item.kind.split()[0] in details.lower()]
        return next(iter(of_kind or said), None)
    return None


def _variables(components: Sequence[Mapping[str, Any]]) -> Iterator[Variable]:
    for number, component in enumerate(components):
        kind = str(component.get("type", "component")).lower()[:_NAME_CHARACTERS]
        if kind == "button":
            kind = f"button {str(component.get('index', number))[:4]}"
        for place, parameter in enumerate(_list(component.get("parameters"))):
            if isinstance(parameter, Mapping):
                name = parameter.get("parameter_name")
                length = len(_value(parameter))
                yield Variable(kind, number, place, name if isinstance(name, str) else None, length)


def _placeholders(template: object) -> dict[tuple[int, int], list[str]]:
    """The columns of each parameter, by component and place in the filled template.

    There a component whose list of parameters is empty is left out (`shared.messaging.campaigns.rendering`).
    """
    components = template.get("components") if isinstance(template, Mapping) else None
    parts = [part for part in _list(components) if isinstance(part, Mapping) and part.get("parameters") != []]
    return {
        (number, place): sorted(names_used(parameter))
        for number, part in enumerate(parts)
        for place, parameter in enumerate(_list(part.get("parameters")))
    }


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _value(parameter: Mapping[str, Any]) -> str:
    """What is put in: under the key that its type names, a text for most."""
    value = parameter.get(str(parameter.get("type", "text")), parameter.get("text", ""))
    return value if isinstance(value, str) else ""
