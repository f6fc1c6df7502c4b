-- name: find_suppressed
-- Of these people ($1) and their hashes ($2) the refusals of before an erasure that their events do not say yet.
select asked.phone, kept.kind, max(kept.created_at) as created_at
from unnest($1::text[], $2::bytea[]) as asked (phone, phone_hash)
join suppressions as kept on kept.phone_hash = asked.phone_hash
where not exists (select from consent_events as event
                  where event.phone = asked.phone and event.kind = kept.kind and event.source = 'suppression'
                    and event.occurred_at >= kept.created_at)
group by asked.phone, kept.kind
order by asked.phone, kept.kind;

-- name: read_refused
-- Which kinds a person with these addresses refuses now; the profiles stay locked until they are erased.
select bool_or(opt_in_marketing is false) as marketing, bool_or(notification_opt_out) as notifications
from (select opt_in_marketing, notification_opt_out
      from customer_profiles
      where phone = any($1::text[])
      order by phone
      for update) as held;

-- name: keep_suppressions
insert into suppressions (phone_hash, kind)
select row.phone_hash, said.kind
from unnest($1::bytea[]) as row (phone_hash)
cross join unnest($2::text[]) as said (kind)
order by row.phone_hash, said.kind
on conflict (phone_hash, kind) do update
set created_at = excluded.created_at;

-- name: forget_suppressions
-- Of what they refused earlier, and not in the end.
delete from suppressions where phone_hash = any($1::bytea[]) and kind <> all($2::text[]);
