"""Under which id the sender knows a notice's message. Pure."""

from uuid import UUID

from shared.ids import read_uuid

_MOST_DIGITS = 9


def client_message_id(notice_id: UUID, attempt: int) -> str:
    """The same attempt is never sent twice."""
    return f"notice:{notice_id}:{attempt}"


def read_client_message_id(text: str | None) -> tuple[UUID, int] | None:
    """The notice and the attempt of such an id; None for any other."""
    match (text or "").split(":"):
        case ["notice", notice, attempt] if attempt.isdecimal() and len(attempt) <= _MOST_DIGITS:
            notice_id = read_uuid(notice)
            return None if notice_id is None else (notice_id, int(attempt))
        case _:
            return None
