-- name: open_mappings
-- In key order; what another replica opened meanwhile is not returned. The address in the notation in which the
-- platform has named it before ($4), and with the id that the customer was seen with last.
insert into conversation_mappings (phone_number_id, customer, wa_id, user_id)
select given.number, given.customer, coalesce(named.address, given.wa_id),
       (select owned.address from customer_addresses as owned
        where owned.phone = given.customer and owned.kind = 'bsuid' and owned.released_at is null
        order by owned.last_seen_at desc, owned.address
        limit 1)
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as given (number, customer, wa_id, notation)
left join customer_addresses as named
    on named.address = given.notation and named.source <> 'rule' and named.released_at is null
order by 1, 2
on conflict do nothing
returning id as mapping_id, phone_number_id as number, customer as asked, customer, wa_id, conversation_id;

-- name: lock_named
-- The mappings of these messages, in the order in which the resolver locks them.
select id from conversation_mappings
where id in (select mapping_id from message_tracking where id = any($1::uuid[])) and status = 'active'
order by phone_number_id, coalesce(customer, wa_id)
for no key update;

-- name: name_customers
-- Of several names of one customer the last stands. Followed only as far as the address is theirs ($4: in the
-- platform's notation), and no other mapping has it; an id, as far as nobody else is known to have it.
with given as (
    select distinct on (tracked.mapping_id) tracked.mapping_id as id, row.wa_id, row.user_id,
           coalesce(known.phone, row.notation) as customer
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality
         as row (message_id, wa_id, user_id, notation, place)
    join message_tracking as tracked on tracked.id = row.message_id
    left join customer_addresses as known on known.address = row.notation and known.released_at is null
    order by tracked.mapping_id, row.place desc
)
update conversation_mappings as mapping
set wa_id = coalesce(named.wa_id, mapping.wa_id), user_id = coalesce(theirs.user_id, mapping.user_id), updated_at = now()
from given
left join lateral (
    select given.wa_id from conversation_mappings as mine
    where mine.id = given.id and coalesce(mine.customer, mine.wa_id) = given.customer
      and not exists (select from conversation_mappings as other
                      where other.phone_number_id = mine.phone_number_id and other.wa_id = given.wa_id
                        and other.status = 'active' and other.id <> mine.id)
) as named on true
left join lateral (
    select given.user_id from conversation_mappings as mine
    where mine.id = given.id
      and not exists (select from customer_addresses as known
                      where known.address = given.user_id
                        and (known.phone <> coalesce(mine.customer, mine.wa_id) or known.released_at is not null))
) as theirs on true
where mapping.id = given.id and mapping.status = 'active'
  and (coalesce(named.wa_id, mapping.wa_id) <> mapping.wa_id
       or coalesce(theirs.user_id, mapping.user_id) is distinct from mapping.user_id);

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
