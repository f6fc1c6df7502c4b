"""Refusals that outlive an erasure: of an address its HMAC stays, and nothing else.

Owns the table `suppressions`. Without SUPPRESSION_KEY none is kept, and none is found.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Self

from pydantic import SecretStr

from shared.messaging.customers.consent_rules import SUPPRESSION, ConsentEvent
from shared.messaging.customers.notation import platform_notation
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "suppressions.sql")


class Suppressions:
    """Keeps and finds them under a key."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    @classmethod
    def of(cls, key: SecretStr | None) -> Self:
        """Under a setting's key."""
        return cls(None if key is None else key.get_secret_value().encode())

    async def find(
        self, connection: Connection, customers: Sequence[str], trace_id: str
    ) -> list[ConsentEvent]:
        """What they had refused when they were erased, and their events do not say. Raises StoreError."""
        if self._key is None or not customers:
            return []
        hashes = self._hashes(self._key, customers)
        rows = await connection.fetch(_QUERIES["find_suppressed"], list(customers), hashes)
        return [
            ConsentEvent(row["phone"], row["kind"], False, SUPPRESSION, row["created_at"], None, trace_id)
            for row in rows
        ]

    async def keep(self, connection: Connection, addresses: Sequence[str]) -> None:
        """Keep what the person with all of these addresses refuses, just before their profile is erased.

        What they refused at an earlier erasure and do not any more is forgotten. Raises StoreError.
        """
        if self._key is None:
            return
        row = await connection.fetchrow(_QUERIES["read_refused"], list(addresses))
        kinds = [kind for kind in ("marketing", "notifications") if row is not None and row[kind]]
        hashes = sorted(set(self._hashes(self._key, addresses)))
        await connection.execute(_QUERIES["forget_suppressions"], hashes, kinds)
        await connection.execute(_QUERIES["keep_suppressions"], hashes, kinds)

    @staticmethod
    def _hashes(key: bytes, addresses: Sequence[str]) -> list[bytes]:
        notations = (platform_notation(address).encode() for address in addresses)
        return [hmac.digest(key, notation, hashlib.sha256) for notation in notations]
