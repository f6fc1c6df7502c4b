"""PostgreSQL as a client: a pool, errors in our own words, named statements, leases, the audit log.

No noun's statement stands here: each table is written by its noun's SQL (`schema/README.md`).
"""
