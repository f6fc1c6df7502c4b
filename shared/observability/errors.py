"""Errors as text for logs: what happened and where, without what a customer wrote.

Owns the choice of what is shown of an exception. The texts of validation and database errors quote the data
they complain about, so only their kind is shown.
"""

import traceback
from typing import Final

#: Libraries whose error texts quote message contents.
_QUOTING: Final = ("pydantic", "pydantic_core", "asyncpg")
_TEXT_CHARACTERS: Final = 300
_FRAMES: Final = 20
_DEPTH: Final = 5


def describe_error(error: BaseException, depth: int = _DEPTH) -> str:
    """`Kind: text <- Kind: text …`, causes to the right; members of a group in brackets."""
    text = _describe_one(error, depth)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return text if cause is None or depth == 0 else f"{text} <- {describe_error(cause, depth - 1)}"


def list_frames(error: BaseException) -> list[str]:
    """Where it was raised, innermost last: `file:line function`; of a group, its first member's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _describe_one(error: BaseException, depth: int) -> str:
    kind = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        shown = error.exceptions[:3] if depth > 0 else ()
        members = "; ".join(describe_error(member, depth - 1) for member in shown)
        return f"{kind} of {len(error.exceptions)} [{members}]"
    if type(error).__module__.partition(".")[0] in _QUOTING:
        state = getattr(error, "sqlstate", None)
        return f"{kind} ({state})" if state else kind
    return f"{kind}: {str(error)[:_TEXT_CHARACTERS]}"
