"""What the tables say of themselves that are about the database and its users."""

from typing import Final

from shared.upkeep import Kept, Table

TABLES: Final = (
    Table("leases", Kept("a row for each job that one replica does"), theirs=None),
    # Its subjects name people by a slow hash alone, so that it outlasts them.
    Table("audit_log", Kept("who did what is answered for ever"), theirs=None),
    Table("schema_migrations", Kept("a row for each migration"), theirs=None),
)
