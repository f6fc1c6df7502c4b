-- name: count_active
-- Counted up to $1; beyond that PostgreSQL's estimate, as of the last vacuum: millions are not counted again and again.
select case when counted <= $1 then counted
            else greatest(counted, (select reltuples::bigint from pg_class
                                    where oid = 'conversation_mappings_idle'::regclass)) end
from (select count(*) as counted
      from (select from conversation_mappings where status = 'active' limit $1::bigint + 1) as first_ones) as known;
