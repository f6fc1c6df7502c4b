-- name: find_profiles
-- Profiles that another notation names than WhatsApp's own: of a refusal there nobody would know.
select phone as address, md5(phone) as key
from customer_profiles
where phone <> platform_notation(phone) and phone > $1::text
  and not exists (select from rows_set_aside where job = 'rows of before' and row_key = md5(phone))
order by phone
limit $2;

-- name: find_mappings
select id, id::text as key, wa_id as address, user_id, first_message_id is not null as has_written, created_at, last_activity_at
from conversation_mappings
where customer is null and id > $1
  and not exists (select from rows_set_aside where job = 'rows of before' and row_key = id::text)
order by id
limit $2;

-- name: find_recipients
select id, id::text as key, wa_id as address
from broadcast_recipients
where customer is null and id > $1
  and not exists (select from rows_set_aside where job = 'rows of before' and row_key = id::text)
order by id
limit $2;

-- name: remember_writers
-- Customers who have written. In key order, as everybody remembers them.
insert into customer_addresses (address, phone, kind, source, first_seen_at, last_seen_at)
select seen.address, seen.address, seen.kind, 'inbound', min(seen.first_at), max(seen.last_at)
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as seen (address, kind, first_at, last_at)
group by seen.address, seen.kind
order by seen.address
on conflict (address) do update
set source = excluded.source, first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at
where customer_addresses.source = 'rule';

-- name: claim_key
-- A row for the customer, so that there is something to lock.
insert into customer_addresses (address, phone, kind, source) values ($1, $1, $2, 'rule') on conflict (address) do nothing;

-- name: lock_customer
-- All of a customer's addresses, in the order in which a join locks them; gives the customer.
with owner as materialized (
    select coalesce((select phone from customer_addresses where address = $1 and released_at is null), $1) as customer
), locked as (
    select address from customer_addresses, owner where phone = customer order by address for update of customer_addresses
)
select customer, (select count(*) from locked) from owner;

-- name: find_left
-- Under which of these addresses anything stands still.
select asked.address
from unnest($1::text[]) as asked (address)
where exists (select from conversation_mappings as mapping
              where coalesce(mapping.customer, mapping.wa_id) = asked.address)
   or exists (select from broadcast_recipients as recipient
              where coalesce(recipient.customer, recipient.wa_id) = asked.address)
   or exists (select from customer_profiles as profile where profile.phone = asked.address)
order by asked.address;

-- name: is_left
-- Whether anything stands under an address still.
select exists (select from conversation_mappings where coalesce(customer, wa_id) = $1)
       or exists (select from broadcast_recipients where coalesce(customer, wa_id) = $1)
       or exists (select from customer_profiles where phone = $1);

-- name: fill_mappings
-- Of customers who are called by the address itself. What somebody holds is read at the next turn.
update conversation_mappings
set customer = wa_id
where id = any(array(select id from conversation_mappings
                     where id = any($1::uuid[]) and customer is null
                     order by id for no key update skip locked));

-- name: fill_recipients
update broadcast_recipients
set customer = wa_id
where id = any(array(select id from broadcast_recipients
                     where id = any($1::bigint[]) and customer is null
                     order by id for no key update skip locked));

-- name: count_unnamed
-- Counted up to $1; beyond that PostgreSQL's estimate, as of the last vacuum of the index.
select 'conversation_mappings' as name,
       case when counted <= $1 then counted
            else greatest(counted, (select reltuples::bigint from pg_class
                                    where oid = 'conversation_mappings_unnamed'::regclass)) end as rows
from (select count(*) as counted
      from (select from conversation_mappings where customer is null limit $1::bigint + 1) as first_ones) as known
union all
select 'broadcast_recipients',
       case when counted <= $1 then counted
            else greatest(counted, (select reltuples::bigint from pg_class
                                    where oid = 'broadcast_recipients_unnamed'::regclass)) end
from (select count(*) as counted
      from (select from broadcast_recipients where customer is null limit $1::bigint + 1) as first_ones) as known;
