-- name: customers_of
-- The customer of each address, by the address in WhatsApp's own notation ($2).
select asked.address, coalesce(owner.phone, asked.notation) as customer
from unnest($1::text[], $2::text[]) as asked (address, notation)
left join customer_addresses as owner on owner.address = asked.notation and owner.released_at is null;

-- name: addresses_of
-- All of a person, what they gave up included.
select address, phone, kind, source, first_seen_at, last_seen_at, released_at, doubt, doubted_at
from customer_addresses
where phone = $1
order by released_at is not null, kind, address;

-- name: meet_addresses
-- Addresses told beside one that is known ($1, in WhatsApp's notation), of which nobody knew anything: they become
-- that customer's. Given are those of which that is true now; all others are weighed one by one.
insert into customer_addresses as known (address, phone, kind, source, first_seen_at, last_seen_at)
select row.address, owner.phone, row.kind, $4, row.at, row.at
from unnest($1::text[], $2::text[], $3::text[], $5::timestamptz[]) as row (beside, address, kind, at)
join customer_addresses as owner on owner.address = row.beside and owner.released_at is null
where not exists (select from conversation_mappings where coalesce(customer, wa_id) = row.address)
  and not exists (select from customer_profiles where phone = row.address)
  and not exists (select from broadcast_recipients where coalesce(customer, wa_id) = row.address)
  and (select count(*) from customer_addresses as held where held.phone = owner.phone and held.kind <> 'phone') < $6
  and ($4 <> 'status' or not exists (select from customer_addresses as given
                                     where given.phone = owner.phone
                                       and (given.released_at <= row.at or given.left_at <= row.at
                                            or given.moved_at <= row.at)))
  and (owner.source = 'rule' or owner.first_seen_at <= row.at)
order by row.address
for key share of owner
on conflict (address) do nothing
returning address;

-- name: claim_addresses
-- A row for each that has none, so that there is something to lock: until then each is a person of its own.
insert into customer_addresses (address, phone, kind, source, first_seen_at, last_seen_at)
select row.address, coalesce(owner.phone, row.notation), row.kind, row.source, $5, $5
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as row (address, notation, kind, source)
left join customer_addresses as owner on owner.address = row.notation and owner.released_at is null
order by row.address
on conflict (address) do nothing;

-- name: find_moved
-- Where whoever had it at a time ($2) went, if somebody else has it since.
select left_for
from customer_addresses
where address = $1 and left_at >= $2 and first_seen_at > $2 and released_at is null;

-- name: find_owners
select phone from customer_addresses where address = any($1::text[]);

-- name: lock_addresses
-- These addresses and all of their persons, in key order.
select address, phone, kind, source, first_seen_at, released_at, moved_at, left_at, doubt
from customer_addresses
where address = any($1::text[]) or phone = any($2::text[])
order by address
for update;

-- name: take_addresses
-- They are this customer's ($2) from a time on ($3): taken over from whoever gave them up, or claimed earlier.
update customer_addresses
set phone = $2, first_seen_at = $3, source = $4, released_at = null
where address = any($1::text[]);

-- name: confirm_addresses
-- Known by rule alone until now, or from a later time.
update customer_addresses
set source = case when source = 'rule' then $2 else source end,
    first_seen_at = case when source = 'rule' then $3 else least(first_seen_at, $3) end
where address = any($1::text[]) and (source = 'rule' or first_seen_at > $3);

-- name: release_addresses
-- Given up: they stay in their person's history.
update customer_addresses
set phone = $2, released_at = $3, last_seen_at = greatest(last_seen_at, $3), moved_at = null
where address = any($1::text[]);

-- name: keep_change
-- Whoever had one ($1) has been at the other ($2) since then.
update customer_addresses
set left_for = case when address = $1::text then $2::text else left_for end,
    left_at = case when address = $1::text then $3::timestamptz else left_at end,
    moved_at = case when address = $2::text then greatest(moved_at, $3::timestamptz) else moved_at end
where address in ($1::text, $2::text);

-- name: readdress
-- Replies to the address that was given up go to the new one.
update conversation_mappings
set wa_id = $3, updated_at = now()
where coalesce(customer, wa_id) = $1 and status = 'active' and wa_id = any($2::text[]);

-- name: doubt_address
-- What an operator parted stays so.
update customer_addresses set doubt = $2, doubted_at = now() where address = $1 and doubt is distinct from 'unlinked';

-- name: find_later
-- What was told beside an address ($2) after a time is whose it is since then.
select address, first_seen_at from customer_addresses
where phone = $1 and address <> all($2::text[]) and first_seen_at > $3 and source <> 'rule' and released_at is null;

-- name: keep_later
update customer_addresses set phone = $2 where address = any($1::text[]);
