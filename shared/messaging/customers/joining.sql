-- name: lock_mappings
-- Everything of two persons, in the order in which the resolver locks mappings.
select id, phone_number_id, wa_id, coalesce(customer, wa_id) as customer, status, conversation_id, conversation_seq,
       communication_id, last_activity_at, created_at
from conversation_mappings
where coalesce(customer, wa_id) = any($1::text[])
order by phone_number_id, coalesce(customer, wa_id), id
for update;

-- name: close_mappings
-- Of two active ones of a number. The conversation leads to the one that stays, and to no other.
update conversation_mappings as mapping
set status = 'closed', conversation_id = null, updated_at = now(),
    metadata = coalesce(mapping.metadata, '{}') || jsonb_build_object('joined_into', row.stays, 'conversation_id', mapping.conversation_id)
from unnest($1::uuid[], $2::uuid[]) as row (gone, stays)
where mapping.id = row.gone;

-- name: rename_mappings
update conversation_mappings
set customer = $2, updated_at = now()
where id = any($1::uuid[]) and customer is distinct from $2;

-- name: take_conversations
-- The one that stays goes on in the other's conversation where it has none of its own.
update conversation_mappings as mapping
set conversation_id = row.conversation_id, conversation_seq = row.seq, communication_id = row.communication_id
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) as row (stays, conversation_id, seq, communication_id)
where mapping.id = row.stays and mapping.conversation_id is null;

-- name: keep_aliases
insert into conversation_aliases (conversation_id, mapping_id)
select row.conversation_id, row.stays from unnest($1::uuid[], $2::text[]) as row (stays, conversation_id)
union
select alias.conversation_id, row.stays
from unnest($3::uuid[], $4::uuid[]) as row (gone, stays)
join conversation_aliases as alias on alias.mapping_id = row.gone
on conflict do nothing;

-- name: drop_aliases
delete from conversation_aliases where mapping_id = any($1::uuid[]);

-- name: move_messages
-- Locked in the order in which everyone locks messages.
with locked as (
    select message.id, row.stays
    from unnest($1::uuid[], $2::uuid[]) as row (gone, stays)
    join message_tracking as message on message.mapping_id = row.gone
    order by message.id
    for update of message
)
update message_tracking as message
set mapping_id = locked.stays, updated_at = now()
from locked
where message.id = locked.id;

-- name: move_deferred
update deferred_messages
set customer = $3
where phone_number_id = any($1::text[]) and customer = any($2::text[]) and customer <> $3;

-- name: rename_recipients
update broadcast_recipients
set customer = $2, updated_at = now()
where coalesce(customer, wa_id) = any($1::text[]) and customer is distinct from $2;

-- name: skip_twins
-- One of a person's in each campaign: whoever is under way already, else the first in the list.
with twins as (
    select id, row_number() over (partition by campaign_id order by status = 'pending', id) as place
    from broadcast_recipients
    where coalesce(customer, wa_id) = $1 and status <> 'skipped'
)
update broadcast_recipients as recipient
set status = 'skipped', skip_reason = 'same_customer', updated_at = now()
from twins
where recipient.id = twins.id and twins.place > 1 and recipient.status = 'pending';

-- name: lock_profiles
select phone, name, last_interaction_at, created_at
from customer_profiles
where phone = any($1::text[])
order by phone
for update;

-- name: write_profile
-- What they want is folded from what both said.
insert into customer_profiles (phone, name, last_interaction_at, created_at)
values ($1, $2, $3, $4)
on conflict (phone) do update
set name = excluded.name, last_interaction_at = excluded.last_interaction_at, created_at = excluded.created_at,
    updated_at = now();

-- name: follow_shops
-- What shops said last of either; what orders add up to comes with the orders.
update customer_profiles as stays
set source_shop = latest.source_shop, wc_customer_id = latest.wc_customer_id, email = latest.email,
    last_known_address = latest.last_known_address, saved_addresses = latest.saved_addresses, tags = latest.tags,
    language = coalesce(latest.language, stays.language), timezone = latest.timezone, source_version = latest.source_version,
    source_updated_at = latest.source_updated_at, source_hash = latest.source_hash
from (
    select * from customer_profiles
    where phone = any($1::text[]) and source_hash is not null
    order by source_version desc, source_updated_at desc, source_hash desc
    limit 1
) as latest
where stays.phone = $2 and latest.phone <> $2;

-- name: remove_profiles
delete from customer_profiles where phone = any($1::text[]);

-- name: move_addresses
update customer_addresses set phone = $2 where phone = any($1::text[]) and phone <> $2;

-- name: find_addresses
select address from customer_addresses where phone = $1 order by address;

-- name: find_holder
-- An active conversation of this address under another name than that of whose it is.
select held.id, held.holder, held.customer
from (
    select id, coalesce(customer, wa_id) as holder,
           coalesce((select owner.phone from customer_addresses as owner
                     where owner.address = $3 and owner.released_at is null), $3) as customer
    from conversation_mappings
    where phone_number_id = $1 and wa_id = $2 and status = 'active'
) as held
where held.holder <> held.customer;

-- name: close_holder
update conversation_mappings set status = 'closed', updated_at = now()
where id = $1 and status = 'active'
returning id, phone_number_id, wa_id, conversation_id;
