"""The line in `audit_log`: who did what to what.

Owns the writing, in the transaction of the deed, so that there is no deed without its line.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.postgres.database import Connection

_RECORD: Final = "insert into audit_log (actor, action, subject, details) values ($1, $2, $3, $4)"


async def record_audit(
    connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Write down who did what, in the transaction of the deed."""
    await connection.execute(_RECORD, actor, action, subject, dict(details))
