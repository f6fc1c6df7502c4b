-- name: open_mappings
-- In key order; what another replica opened meanwhile is not returned.
insert into conversation_mappings (phone_number_id, wa_id)
select distinct given.number, given.customer
from unnest($1::text[], $2::text[]) as given (number, customer)
order by 1, 2
on conflict (phone_number_id, wa_id) where status = 'active' do nothing
returning id as mapping_id, phone_number_id as number, wa_id as customer, conversation_id;

-- name: correlate
update conversation_mappings
set conversation_id = $2, communication_id = coalesce($3, communication_id), conversation_seq = $4,
    updated_at = now()
where id = $1;

-- name: confirm_correlation
update conversation_mappings set conversation_seq = greatest(conversation_seq, $2) where id = $1;

-- name: keep_alias
insert into conversation_aliases (conversation_id, mapping_id) values ($1, $2) on conflict do nothing;

-- name: close_mapping
update conversation_mappings set status = 'closed', updated_at = now()
where id = $1 and status = 'active' and conversation_id = $2
returning id;

-- name: find_idle
-- After a place ($3, $4) in the order of hours, so that what is not idle yet in the last one is read once a run.
-- The hour as text: of a time that a client cannot hold, none of the page could be read.
select id, activity_hour::text as hour from conversation_mappings
where status = 'active' and last_activity_at < now() - $1::interval
  and activity_hour <= now() - $1::interval
  and (activity_hour, id) > (coalesce($3::text::timestamptz, '-infinity'), coalesce($4::uuid, '00000000-0000-0000-0000-000000000000'))
  and not exists (select from rows_set_aside where job = 'expiry' and row_key = id::text)
order by activity_hour, id
limit $2;

-- name: expire_idle
update conversation_mappings
set status = 'expired', updated_at = now()
where id = any(array(
    select id from conversation_mappings
    where id = any($2::uuid[]) and status = 'active' and last_activity_at < now() - $1::interval
    order by id
    for update skip locked
))
returning id, wa_id, phone_number_id, conversation_id, last_activity_at;
