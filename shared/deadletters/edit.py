"""Another body for a dead letter: only what its queue takes.

Owns the text that is edited and the check of what came of it. Replaying it is `replay`'s.
"""

# ruff: noqa: N818 - the names say what happened, as the error tree's do

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from shared.amqp.payload_names import payload_name
from shared.deadletters.letters import Letter
from shared.errors import WabusError
from shared.payloads import InvalidPayload, Payload, decode
from shared.payloads.schemas import PAYLOADS_IN

_MODELS: Final[Mapping[str, type[Payload]]] = {model.__name__: model for model in PAYLOADS_IN}


class NotEditable(WabusError):
    """The dead letter is settled: nothing can be replayed in its place."""


class InvalidEdit(WabusError):
    """The edited body is not what its queue takes; the text names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A new body, and how the dead letter names it."""

    body: bytes

    @property
    def why(self) -> str:
        """The resolution of the dead letter: a digest, for a body may hold what nobody should read here."""
        digest = hashlib.sha256(self.body).hexdigest()
        return f"replayed with an edited body of {len(self.body)} bytes, sha256 {digest[:16]}"


def text_of(letter: Letter) -> str:
    """The body as text to be edited: JSON indented, which says the same; anything else as it is.

    Raises NotEditable.
    """
    if letter.columns["status"] not in ("pending", "replaying"):
        raise NotEditable(f"it is {letter.columns['status']}: only an open one can be edited")
    try:
        return orjson.dumps(orjson.loads(letter.raw_body), option=orjson.OPT_INDENT_2).decode() + "\n"
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return letter.raw_body.decode("utf-8", "backslashreplace")


def read_edited(letter: Letter, text: str, routing_key: str | None) -> Edited:
    """What was made of the text. `routing_key`: under which it goes, if not its own. Raises InvalidEdit."""
    body = text.strip().encode()
    _check(body, letter.message.source_queue, routing_key or letter.message.routing_key or "")
    return Edited(body)


def _check(body: bytes, place: str, routing_key: str) -> None:
    model = _MODELS.get(payload_name(place, routing_key))
    try:
        if model is None:
            orjson.loads(body)
        else:
            decode(model, body)
    except orjson.JSONDecodeError as error:
        raise InvalidEdit(f"the edited body is not JSON ({error}): nothing was replayed") from None
    except InvalidPayload as error:
        raise InvalidEdit(f"the edited body is not valid: {error}; nothing was replayed") from None
