"""A customer's consent to marketing: as they told it to an operator, and as the platform tells it.

Owns the answer and its time in `customer_profiles`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.messaging.customers.addresses import audit_subject
from shared.messaging.customers.notation import platform_notation
from shared.postgres.audit import record_audit
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "consent.sql")


@dataclass(frozen=True, slots=True)
class Consent:
    """What they want since when. `before`: what they had said; None: they were never asked."""

    phone: str
    opt_in_marketing: bool
    marketing_opted_at: datetime
    before: bool | None


async def record_consent(database: Database, address: str, *, wanted: bool, by: str) -> Consent:
    """Record whether they want marketing, a repeated answer with its time too; audited. Raises StoreError.

    It is the answer of whoever has the address now: of a number that was given up, not of who had it.
    """
    notation = platform_notation(address)
    async with database.transaction() as connection:
        customer = await connection.fetchval(_QUERIES["hold_customer"], notation) or notation
        row = await connection.fetchrow(_QUERIES["set_consent"], customer, wanted)
        assert row is not None
        await record_audit(
            connection,
            actor=by,
            action="profile.opt_in" if wanted else "profile.opt_out",
            subject=audit_subject(customer),
            details={"before": row["before"]},
        )
    return Consent(**dict(row))


async def record_opt_outs(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """The customers of these messages want no marketing from now on (131050). In the caller's transaction.

    Told again it changes nothing: when they said it is kept. After an operator has recorded a yes it counts
    anew.
    """
    if message_ids:
        await connection.execute(_QUERIES["record_opt_outs"], list(message_ids))
