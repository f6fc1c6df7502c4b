"""Whether the login of a worker may do with our tables what work needs: what `schema/roles.sql` gives.

Owns the check, which is asked at the start, while a worker stands still, and for its health. The tables are
those of the catalogue: of the owner of `schema_migrations`, in its schema.
"""

from collections import defaultdict
from typing import Final

from shared.errors import StoreMisconfigured
from shared.postgres.database import Database

_MISSING: Final = """
select worked.relname as name, needed.privilege
from pg_class as known
join pg_class as worked on worked.relnamespace = known.relnamespace and worked.relowner = known.relowner
    and worked.relkind in ('r', 'p') and worked.oid <> known.oid
cross join unnest(array['select', 'insert', 'update', 'delete']) as needed (privilege)
where known.oid = to_regclass('schema_migrations')
  and not has_table_privilege(worked.oid, needed.privilege)
order by worked.relname, needed.privilege
"""
#: Tables that a line names.
_NAMED: Final = 3


async def check_usable(database: Database) -> None:
    """Raise StoreUnavailable unless the server takes writes, StoreMisconfigured where a right is missing."""
    await database.check_writable()
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for row in await database.fetch(_MISSING):
        missing[row["name"]].append(row["privilege"])
    if not missing:
        return
    named = ", ".join(f"{name} ({' '.join(rights)})" for name, rights in list(missing.items())[:_NAMED])
    more = f" and {len(missing) - _NAMED} more tables" if len(missing) > _NAMED else ""
    raise StoreMisconfigured(
        f"no right to work on {named}{more}: grant the login of DATABASE_URL what schema/roles.sql gives"
    )
