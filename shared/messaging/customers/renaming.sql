-- name: find_renames
-- Of customers under another notation ($1) than WhatsApp's own ($2) those of whom nothing stands there: nobody is
-- joined with them. With how many rows they have.
select pair.variant, pair.customer,
       (select count(*) from conversation_mappings as mapping
        where coalesce(mapping.customer, mapping.wa_id) = pair.variant)
       + (select count(*) from broadcast_recipients as recipient
          where coalesce(recipient.customer, recipient.wa_id) = pair.variant) as rows
from unnest($1::text[], $2::text[]) as pair (variant, customer)
where not exists (select from conversation_mappings as mapping
                  where coalesce(mapping.customer, mapping.wa_id) = pair.customer)
  and not exists (select from broadcast_recipients as recipient
                  where coalesce(recipient.customer, recipient.wa_id) = pair.customer)
  and not exists (select from customer_profiles as profile where profile.phone = pair.customer)
  and not exists (select from customer_addresses as known where known.phone = pair.variant)
  and not exists (select from customer_addresses as known
                  where known.address = pair.customer
                    and (known.phone <> pair.customer or known.released_at is not null))
order by pair.customer;

-- name: wait_little
-- Whoever is in the way goes first: messages never wait longer than this for the end of a batch.
select set_config('lock_timeout', '100ms', true);

-- name: claim_keys
-- A row for each customer, so that there is something to lock.
insert into customer_addresses (address, phone, kind, source)
select row.address, row.address, 'phone', 'rule'
from unnest($1::text[]) as row (address)
order by row.address
on conflict (address) do nothing;

-- name: lock_keys
select address from customer_addresses where address = any($1::text[]) order by address for update;

-- name: rename_mappings
-- Locked in the order in which the resolver locks them.
with locked as materialized (
    select mapping.id, pair.variant, pair.customer
    from unnest($1::text[], $2::text[]) as pair (variant, customer)
    join conversation_mappings as mapping on coalesce(mapping.customer, mapping.wa_id) = pair.variant
    order by mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id), mapping.id
    for update of mapping
)
update conversation_mappings as mapping
set customer = locked.customer, updated_at = now()
from locked
where mapping.id = locked.id
returning mapping.phone_number_id, mapping.wa_id, mapping.conversation_id, locked.variant, locked.customer;

-- name: rename_deferred
update deferred_messages as waiting
set customer = row.customer
from unnest($1::text[], $2::text[], $3::text[]) as row (number, variant, customer)
where waiting.phone_number_id = row.number and waiting.customer = row.variant;

-- name: rename_recipients
with locked as materialized (
    select recipient.id, pair.customer
    from unnest($1::text[], $2::text[]) as pair (variant, customer)
    join broadcast_recipients as recipient on coalesce(recipient.customer, recipient.wa_id) = pair.variant
    order by recipient.id
    for no key update of recipient
)
update broadcast_recipients as recipient
set customer = locked.customer, updated_at = now()
from locked
where recipient.id = locked.id;

-- name: rename_profiles
with locked as materialized (
    select profile.phone, pair.customer
    from unnest($1::text[], $2::text[]) as pair (variant, customer)
    join customer_profiles as profile on profile.phone = pair.variant
    order by profile.phone
    for update of profile
)
update customer_profiles as profile
set phone = locked.customer, updated_at = now()
from locked
where profile.phone = locked.phone;

-- name: rename_consents
-- Of profiles that were renamed just now.
update consent_events as event
set phone = pair.customer
from unnest($1::text[], $2::text[]) as pair (variant, customer)
where event.phone = pair.variant;
