"""Leases by the database clock: of many replicas, one acts."""

from datetime import timedelta
from uuid import UUID

from shared.postgres.database import Database

#: The lease of the scheduler.
SCHEDULER = "scheduler"

_TAKE = """
insert into leases (name, owner, expires_at) values ($1, $2, now() + $3::interval)
on conflict (name) do update set owner = excluded.owner, expires_at = excluded.expires_at
where leases.owner = excluded.owner or leases.expires_at < now()
returning true
"""
_GIVE_BACK = "update leases set expires_at = now() where name = $1 and owner = $2"
_AGE = "select extract(epoch from now() - expires_at)::float8 from leases where name = $1"


class Lease:
    """One named lease, wanted by one owner."""

    def __init__(self, database: Database, name: str, owner: UUID, ttl_s: float) -> None:
        self._database = database
        self._name = name
        self._owner = owner
        self._ttl = timedelta(seconds=ttl_s)

    async def take(self) -> bool:
        """Take or extend the lease; False while another owner's has not run out."""
        return bool(await self._database.fetchval(_TAKE, self._name, self._owner, self._ttl))

    async def give_back(self) -> None:
        """Let another replica act at once."""
        await self._database.execute(_GIVE_BACK, self._name, self._owner)


async def lapsed_s(database: Database, name: str) -> float | None:
    """Seconds since the lease ran out (negative while it is held); None where it was never taken."""
    value = await database.fetchval(_AGE, name)
    return None if value is None else float(value)
