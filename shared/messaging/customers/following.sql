-- name: keep_customers
-- A row for each customer who has none, so that what is told beside them is new in one statement; and that the platform
-- itself has named them so, by which later conversations begin with its notation.
insert into customer_addresses as known (address, phone, kind, source, first_seen_at, last_seen_at)
select distinct on (row.address) row.address, row.address, row.kind, row.source, row.at, row.at
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as row (address, kind, source, at)
order by row.address, row.source = 'rule'
on conflict (address) do update
set source = excluded.source
where known.source = 'rule' and excluded.source <> 'rule';
