"""How JSON Schema says the rules of payloads, where pydantic says none or a narrower one.

Owns the schemas' words only. The rules are the models' and the fields', and a test holds that both give the
same verdict on every body that the decoders' tests know.
"""

from typing import Any, Final

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

Schema = dict[str, Any]

_NULL: Final[Schema] = {"type": "null"}
_EMPTY: Final[Schema] = {"const": ""}
#: What a publisher writes where it has nothing to say; a field that is left out says the same.
_NOTHING: Final = (None, "")

_DAY: Final = "(0[1-9]|1[0-2]){0}(0[1-9]|[12][0-9]|3[01])"
_YEAR: Final = "20(09|[1-9][0-9])"
_FRACTION: Final = "([.,][0-9]+)?"
_CLOCK: Final = (
    f"([01][0-9]|2[0-3])(:[0-5][0-9](:[0-5][0-9]{_FRACTION})?|[0-5][0-9]([0-5][0-9]{_FRACTION})?)?"
)
_ZONE: Final = "(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_DATE_TIME: Final = (
    f"{_YEAR}-{_DAY.format('-')}([T ]{_CLOCK}{_ZONE})?|{_YEAR}{_DAY.format('')}[T ]{_CLOCK}{_ZONE}"
)
#: Digits from 1231 million on, which is 3 January 2009, to the end of 2099; three more for milliseconds.
_EPOCH: Final = (
    r"(1(23[1-9]|2[4-9][0-9]|[3-9][0-9]{2})[0-9]{6}|[23][0-9]{9}|40[0-9]{8})([0-9]{3})?(\.[0-9]{1,20})?"
)
_EARLIEST_S: Final = 1_230_768_000
_LATEST_S: Final = 4_102_444_800

#: A time as publishers may write it.
TIME_IN: Final[Schema] = {
    "description": "ISO 8601, or epoch seconds or milliseconds, as text or number; no zone means UTC.",
    "anyOf": [
        {"type": "string", "maxLength": 64, "pattern": f"^({_DATE_TIME}|{_EPOCH})$"},
        {"type": "number", "minimum": _EARLIEST_S, "maximum": _LATEST_S},
        {"type": "number", "minimum": _EARLIEST_S * 1000, "maximum": _LATEST_S * 1000},
    ],
}
#: A time as the cluster writes it.
TIME_OUT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": "Z$"}


def none_of(*schemas: Schema) -> Schema:
    """A body is none of these.

    Said with `not`, since of `anyOf` beside `properties` generators make a type for each alternative.
    """
    return {"not": {"anyOf": list(schemas)} if len(schemas) > 1 else schemas[0]}


def silent(*names: str) -> Schema:
    """A body of which these fields say nothing: each is null, empty or absent."""
    return {"properties": {name: {"enum": list(_NOTHING)} for name in names}}


def telling(name: str) -> Schema:
    """A body of which this field says something."""
    return {"required": [name], "properties": {name: {"not": {"enum": list(_NOTHING)}}}}


def telling_without(name: str, other: str) -> Schema:
    """A body of which the first field says something and the second one nothing."""
    told, missing = telling(name), silent(other)
    return told | {"properties": told["properties"] | missing["properties"]}


def exactly_one_of(*names: str) -> Schema:
    """Of these fields one says something; said with `if` for the same reason as `none_of`."""
    return {"if": {"oneOf": [telling(name) for name in names]}, "else": False}


def or_nothing(schema: Schema) -> Schema:
    """The schema of a field that may be null already, and may then be an empty text, too."""
    said = [kind for kind in schema.pop("anyOf") if kind != _NULL]
    if len(said) == 1 and said[0].get("type") == "string" and not said[0].keys() & {"pattern", "enum"}:
        text = {name: value for name, value in said[0].items() if name != "minLength"}
        return schema | text | {"type": ["string", "null"]}
    return schema | {"anyOf": [*said, _NULL, _EMPTY]}


class Ignorable:
    """Marks a field that costs no message, whatever its shape: the schema shows the shape that is used."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        """The schema of the field, as publishers see it."""
        schema = handler(core)
        if handler.mode == "serialization":
            return schema
        used = [kind for kind in schema.get("anyOf", [schema]) if kind not in (_NULL, _EMPTY)]
        return {"description": "In any other shape it is ignored.", "anyOf": [*used, {}]}
