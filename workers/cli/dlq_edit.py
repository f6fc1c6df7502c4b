"""Editing the body of a dead letter: in `$EDITOR`, and only into what its queue takes.

Owns the text that is edited and the check of what is saved. Replaying it is `shared.deadletters`'.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import click
import orjson

from shared.amqp.payload_names import payload_name
from shared.deadletters.letters import Letter
from shared.payloads import InvalidPayload, Payload, decode
from shared.payloads.schemas import PAYLOADS_IN

_MODELS: Final[Mapping[str, type[Payload]]] = {model.__name__: model for model in PAYLOADS_IN}


@dataclass(frozen=True, slots=True)
class Edited:
    """A new body, and how the dead letter names it."""

    body: bytes

    @property
    def why(self) -> str:
        """The resolution of the dead letter: a digest, for a body may hold what nobody should read here."""
        digest = hashlib.sha256(self.body).hexdigest()
        return f"replayed with an edited body of {len(self.body)} bytes, sha256 {digest[:16]}"


def edit_body(letter: Letter, routing_key: str | None) -> Edited:
    """What a person makes of the body. Raises ClickException where that is nothing its queue takes."""
    if letter.columns["status"] not in ("pending", "replaying"):
        raise click.ClickException(f"it is {letter.columns['status']}: only an open one can be edited")
    before = _text_of(letter)
    after = click.edit(before, extension=".json", require_save=False)
    if after is None or after.strip() == before.strip():
        raise click.ClickException("the body was left as it is: nothing was replayed")
    body = after.strip().encode()
    check_body(body, letter.message.source_queue, routing_key or letter.message.routing_key or "")
    return Edited(body)


def check_body(body: bytes, place: str, routing_key: str) -> None:
    """Raise ClickException, with the field and the rule, unless it is what travels there."""
    model = _MODELS.get(payload_name(place, routing_key))
    try:
        if model is None:
            orjson.loads(body)
        else:
            decode(model, body)
    except orjson.JSONDecodeError as error:
        raise click.ClickException(f"the edited body is not JSON ({error}): nothing was replayed") from None
    except InvalidPayload as error:
        raise click.ClickException(f"the edited body is not valid: {error}; nothing was replayed") from None


def _text_of(letter: Letter) -> str:
    """JSON indented, without a change to what it says; anything else as it is."""
    try:
        return orjson.dumps(orjson.loads(letter.raw_body), option=orjson.OPT_INDENT_2).decode() + "\n"
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return letter.raw_body.decode("utf-8", "backslashreplace")
