"""From an event to the bytes of its body.

Owns the form of all that the cluster publishes: flat JSON, times in ISO 8601 UTC with `Z`, nulls left out.
"""

from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import BaseModel
from pydantic_core import to_json

#: Fields written even when null: their absence would not mean "none".
KEPT_NULLS: Final = frozenset({"conversation_id", "original_payload"})


def encode(payload: BaseModel) -> bytes:
    """One JSON object: fields that are null left out but for `KEPT_NULLS`, unknown fields carried through.

    Values are taken as they are, without validation; what a payload says itself wins over an unknown field of
    that name. Integers of any size survive. ValueError where a value has no JSON form.
    """
    fields = _fields(payload)
    try:
        return orjson.dumps(fields, default=_plain, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:
        return to_json(fields, exclude_none=True, fallback=_plain)  # orjson ends at 64 bits


def _fields(payload: BaseModel) -> dict[str, Any]:
    fields = {
        name: value for name, value in payload.__dict__.items() if value is not None or name in KEPT_NULLS
    }
    extra = payload.__pydantic_extra__
    return {**extra, **fields} if extra else fields


def _plain(value: object) -> Any:
    match value:
        case BaseModel():
            return _fields(value)
        case UUID():  # asyncpg's own subclass
            return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
