-- The role of the workers: rows of our tables, nothing else. Neither DDL nor TRUNCATE, no temporary tables, and the
-- bookkeeping of migrations to read only.
--
-- Run it after `wabus migrate`, in wabus' database, as the role that migrates (it must be allowed to create
-- roles); repeatable. Tables that later migrations of the same role create are covered. The schema is the one that
-- `wabus migrate` filled: the first of the search_path, `public` where nobody set another.
--
--   psql "$MIGRATION_DATABASE_URL" -v ON_ERROR_STOP=1 -f schema/roles.sql
--
-- Then one login for each installation that shares the server, which DATABASE_URL names from then on (and, for
-- another schema than `public`, `alter role wabus_app set search_path = NAME`):
--
--   create role wabus_app login password '…' in role wabus_worker;

do $$
declare
    ours text := quote_ident(current_schema());
begin
    if not exists (select from pg_roles where rolname = 'wabus_worker') then
        create role wabus_worker nologin;
    end if;
    -- What everyone may do by default: temporary tables, and in a database that was once PostgreSQL 14, tables.
    execute format('revoke create, temporary on database %I from public', current_database());
    execute format('grant connect on database %I to wabus_worker', current_database());

    execute 'revoke create on schema ' || ours || ' from public';
    execute 'grant usage on schema ' || ours || ' to wabus_worker';

    execute 'grant select, insert, update, delete on all tables in schema ' || ours || ' to wabus_worker';
    execute 'grant usage on all sequences in schema ' || ours || ' to wabus_worker';
    execute 'revoke insert, update, delete on ' || ours || '.schema_migrations from wabus_worker';

    execute 'alter default privileges in schema ' || ours
        || ' grant select, insert, update, delete on tables to wabus_worker';
    execute 'alter default privileges in schema ' || ours || ' grant usage on sequences to wabus_worker';
end
$$;
