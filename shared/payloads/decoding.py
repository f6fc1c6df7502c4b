"""From the bytes of a body to a typed payload, or to one line that says why not.

Owns: the limit of a body, what counts as JSON, and the words of `invalid_payload`. The rules of single fields
are the models'.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

BODY_LIMIT_BYTES: Final = 1024 * 1024

_ERROR_LENGTH: Final = 300
_FIELD_LENGTH: Final = 60
_ERRORS_NAMED: Final = 3
_LARGEST_DOUBLE: Final = 10**308

T = TypeVar("T", bound=BaseModel)


class InvalidPayload(Exception):  # noqa: N818 - the vocabulary of dead letters
    """A body is not the payload it should be.

    Its text is one printable line of at most 300 characters that names the field and the rule, never a value.
    """

    def __init__(self, error: str) -> None:
        line = "".join(c if c.isprintable() else "?" for c in error)
        super().__init__(line if len(line) <= _ERROR_LENGTH else f"{line[: _ERROR_LENGTH - 1]}…")


def decode(model: type[T], body: bytes) -> T:
    """The body as `model`. InvalidPayload where it is anything else; no other error, whatever the bytes.

    Refused beside the model's own rules: more than 1 MiB, not UTF-8, not JSON, not an object, nested deeper
    than 200, a NUL character anywhere (PostgreSQL holds none), a number not finite or beyond a double. A key
    given twice counts as given last.
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise InvalidPayload(f"body: larger than {BODY_LIMIT_BYTES} bytes")
    try:
        payload = model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidPayload(_describe(error, body)) from None
    if b"\\u0000" in body:
        _refuse(body, _has_nul, "contains a NUL character")
    try:
        orjson.loads(body)  # the stricter parser: refuses NaN, Infinity and numbers beyond a double
    except orjson.JSONDecodeError:
        _refuse(body, _is_huge, "a number that is not finite or beyond 1e308")
        raise InvalidPayload("body: not strict JSON") from None
    return payload


def check_text(name: str, value: Any) -> None:
    """InvalidPayload where a JSON value that is to be stored beside a body holds a NUL character."""
    for path, leaf in _leaves(value, (name,)):
        if _has_nul(leaf):
            raise InvalidPayload(f"{_name(path)}: contains a NUL character")


def _describe(error: ValidationError, body: bytes) -> str:
    problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return _describe_syntax(problems[0], body)
    return "; ".join(_describe_field(problem) for problem in problems[:_ERRORS_NAMED])


def _describe_syntax(problem: ErrorDetails, body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"body: not UTF-8 at byte {error.start}"
    return f"body: not valid JSON: {problem['ctx']['error']}"


def _describe_field(problem: ErrorDetails) -> str:
    """`field: rule`; a rule about several fields names them itself."""
    rule = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "model_type" and not problem["loc"]:
        return "body: not a JSON object"
    if not problem["loc"]:
        return rule
    return f"{_name(problem['loc'])}: {rule[:1].lower()}{rule[1:]}"


def _name(path: Iterable[int | str]) -> str:
    return ".".join(str(part)[:_FIELD_LENGTH] for part in path)


def _refuse(body: bytes, is_bad: Callable[[Any], bool], rule: str) -> None:
    """Name the first value of the body that is bad, if one is."""
    for path, value in _leaves(json.loads(body), ()):
        if is_bad(value):
            raise InvalidPayload(f"{_name(path) or 'body'}: {rule}")


def _leaves(value: Any, path: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    """Every key and every single value with its path; the depth is that of a body already decoded."""
    match value:
        case dict():
            for key, item in value.items():
                yield (*path, key), key
                yield from _leaves(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _leaves(item, (*path, index))
        case _:
            yield path, value


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _is_huge(value: Any) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    return isinstance(value, int) and abs(value) > _LARGEST_DOUBLE
