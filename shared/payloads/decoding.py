"""From the bytes of a body to a typed payload, or to one line that says why not.

Owns: the limit of a body, what counts as JSON, what is mended in it, and the words of `invalid_payload`. The
rules of single fields are the models'.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Generic, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

BODY_LIMIT_BYTES: Final = 1024 * 1024

_ERROR_LENGTH: Final = 300
_FIELD_LENGTH: Final = 60
_ERRORS_NAMED: Final = 3
_LARGEST_DOUBLE: Final = 10**308

#: Escapes of which some stand for no character that can be stored.
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
#: Every escape of valid JSON; both halves of a surrogate pair are one.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL
)
_REPLACEMENT: Final = rb"\ufffd"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: Fields that say what or who is meant: a character replaced there would mean another.
_IDS: Final = frozenset(
    {
        "wamid",
        "wa_id",
        "user_id",
        "parent_user_id",
        "phone_number_id",
        "message_type",
        "context_wamid",
        "media_url",
        "media_id",
        "media_type",
        "conversation_id",
        "communication_id",
        "whatsapp_message_id",
        "genesys_message_id",
        "client_message_id",
        "campaign_id",
        "callback_data",
        "status",
        "template.name",
        "template.language",
        "template.language.code",
        "reaction.message_id",
        "recipients.wa_id",
    }
)

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Decoded(Generic[T]):
    """A payload, and what had to be done for it: characters replaced, side fields dropped for their shape."""

    payload: T
    replaced: int = 0
    dropped: tuple[str, ...] = ()

    def mending(self, body: bytes) -> dict[str, Any] | None:
        """What a row's `metadata` says of a body whose characters were replaced; None where none were."""
        if not self.replaced:
            return None
        return {"replaced_characters": self.replaced, "raw_body_base64": b64encode(body).decode()}


class InvalidPayload(Exception):  # noqa: N818 - the vocabulary of dead letters
    """A body is not the payload it should be.

    Its text is one printable line of at most 300 characters that names the field and the rule, never a value.
    """

    def __init__(self, error: str) -> None:
        line = "".join(c if c.isprintable() else "?" for c in error)
        super().__init__(line if len(line) <= _ERROR_LENGTH else f"{line[: _ERROR_LENGTH - 1]}…")


def decode(model: type[T], body: bytes) -> T:
    """The payload of `read`, for whom it is enough."""
    return read(model, body).payload


def read(model: type[T], body: bytes) -> Decoded[T]:
    """The body as `model`. InvalidPayload where it is anything else; no other error, whatever the bytes.

    Refused beside the model's own rules: more than 1 MiB, not UTF-8, not JSON, not an object, nested deeper
    than 200, a number not finite or beyond a double. A key given twice counts as given last. What PostgreSQL
    or UTF-8 cannot hold (NUL, half of a surrogate pair) becomes U+FFFD in what people write, and is refused
    in an id.
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise InvalidPayload(f"body: larger than {BODY_LIMIT_BYTES} bytes")
    mended, replaced = mend(body)
    dropped: list[str] = []
    try:
        payload = model.model_validate_json(mended, context=dropped)
    except ValidationError as error:
        raise InvalidPayload(_describe(error, mended)) from None
    if replaced:
        _refuse_in_ids(body)
    try:
        orjson.loads(mended)  # the stricter parser: refuses NaN, Infinity and numbers beyond a double
    except orjson.JSONDecodeError:
        _refuse(mended, _is_huge, "a number that is not finite or beyond 1e308")
        raise InvalidPayload("body: not strict JSON") from None
    return Decoded(payload, replaced, tuple(dropped))


def mend(body: bytes) -> tuple[bytes, int]:
    """JSON whose strings hold no NUL and no half of a surrogate pair, and how many became U+FFFD."""
    if _SUSPECT.search(body) is None:
        return body, 0
    replaced = 0

    def write(escape: re.Match[bytes]) -> bytes:
        nonlocal replaced
        if len(escape[0]) == len(_REPLACEMENT) and _SUSPECT.match(escape[0]):
            replaced += 1
            return _REPLACEMENT
        return escape[0]

    return _ESCAPE.sub(write, body), replaced


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


def _refuse_in_ids(body: bytes) -> None:
    """Name the first id that holds what was replaced."""
    for path, value in _leaves(json.loads(body), ()):
        if ".".join(part for part in path if isinstance(part, str)) in _IDS and isinstance(value, str):
            if _has_nul(value):
                raise InvalidPayload(f"{_name(path)}: contains a NUL character")
            if _SURROGATE.search(value):
                raise InvalidPayload(f"{_name(path)}: contains half of a surrogate pair")


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
