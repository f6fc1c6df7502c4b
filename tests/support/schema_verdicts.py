"""What the JSON Schemas on file say of a body: the verdict of a gateway that checks before it publishes."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.protocols import Validator

from shared.payloads.schemas import FOLDER


def is_valid(name: str, body: bytes) -> bool:
    """Whether the body is JSON (RFC 8259: no NaN) and what the schema of this payload asks for."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return _validator(name).is_valid(value)


@cache
def _validator(name: str) -> Validator:
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    judge: Validator = _JUDGE(schema)
    return judge


def _match(validator: Validator, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """As ECMA 262 has it, which JSON Schema names: `$` is the end, not what stands before a last newline."""
    if validator.is_type(value, "string") and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"does not match {pattern}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_JUDGE: Any = validators.extend(Draft202012Validator, {"pattern": _match})  # type: ignore[no-untyped-call]
