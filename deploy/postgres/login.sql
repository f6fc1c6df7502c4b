-- The workers' login of docker-compose.yml, for psql 15 or later: its password comes by the environment, so that it
-- is in no list of processes. Repeatable; run after schema/roles.sql.
\getenv password WABUS_WORKER_PASSWORD
select 'create role wabus_app login in role wabus_worker'
where not exists (select from pg_roles where rolname = 'wabus_app') \gexec
alter role wabus_app password :'password';
