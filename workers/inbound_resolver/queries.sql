-- name: register
-- Track new messages: open or touch the active mapping of each customer, then insert a row per wamid.
-- Mappings are locked in key order. A row that is fresh and not tracked lost a race: the caller rolls back.
-- The customer is whoever has the address, in WhatsApp's own notation; an address that nobody has is remembered.
with input as (
    select row.*, coalesce(owner.phone, row.notation) as customer, owner.address is null as is_new_address,
           variant.address is null and row.wa_id <> row.notation as is_new_notation,
           owner.last_seen_at < row.sent_at - interval '1 day' as is_seen_again,
           named.phone as owner_of_id, parent.phone as owner_of_parent_id,
           coalesce(greatest(named.doubted_at, parent.doubted_at) > now() - interval '1 hour', false) as is_doubted
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::uuid[], $14::text[], $15::text[], $16::text[])
         with ordinality as row (id, wamid, number, wa_id, user_id, contact_name, display_number, message_type,
                                 media_url, sent_at, w3c_trace_id, notation, kind, parent_user_id, place)
    left join customer_addresses as owner on owner.address = row.notation and owner.released_at is null
    left join customer_addresses as variant
        on variant.address = case when row.wa_id <> row.notation then row.wa_id end
    left join customer_addresses as named on named.address = row.user_id and named.released_at is null
    left join customer_addresses as parent
        on parent.address = row.parent_user_id and parent.released_at is null
), fresh as (
    select input.* from input
    where not exists (select from message_tracking as known where known.wamid = input.wamid)
), met as (
    insert into customer_addresses as known (address, phone, kind, source, first_seen_at, last_seen_at)
    select distinct on (told.address) told.address, told.customer, told.kind, told.source, told.sent_at, told.sent_at
    from (
        select wa_id as address, customer, kind, 'inbound' as source, sent_at from fresh
        where is_new_address or is_new_notation
        union all
        select notation, customer, kind, 'rule', sent_at from fresh where is_new_address and notation <> wa_id
    ) as told
    order by told.address, told.source, told.sent_at
    on conflict (address) do update
    set phone = excluded.phone, source = excluded.source, first_seen_at = excluded.first_seen_at,
        last_seen_at = excluded.last_seen_at, released_at = null
    where known.released_at is not null
), seen as (
    update customer_addresses as known
    set last_seen_at = again.sent_at
    from (select notation, max(sent_at) as sent_at from fresh where is_seen_again group by notation) as again
    where known.address = again.notation
), customers as (
    select number, customer,
           (array_agg(wa_id order by place desc))[1] as wa_id,
           (array_agg(wamid order by place))[1] as first_wamid,
           (array_agg(wamid order by place desc))[1] as last_wamid,
           (array_agg(user_id order by place desc) filter (where user_id is not null))[1] as user_id,
           (array_agg(contact_name order by place desc) filter (where contact_name is not null))[1] as contact_name,
           (array_agg(display_number order by place desc)
                filter (where display_number is not null))[1] as display_number,
           max(sent_at) as sent_at
    from fresh
    group by number, customer
), mapped as (
    insert into conversation_mappings as mapping
        (phone_number_id, wa_id, customer, user_id, contact_name, display_phone_number, first_message_id,
         last_message_id)
    select number, wa_id, customer, user_id, contact_name, display_number, first_wamid, last_wamid
    from customers
    order by number, customer
    on conflict (phone_number_id, (coalesce(customer, wa_id))) where status = 'active' do update
    set wa_id = excluded.wa_id,
        customer = excluded.customer,
        last_activity_at = now(),
        updated_at = now(),
        last_message_id = excluded.last_message_id,
        first_message_id = coalesce(mapping.first_message_id, excluded.first_message_id),
        user_id = coalesce(excluded.user_id, mapping.user_id),
        contact_name = coalesce(excluded.contact_name, mapping.contact_name),
        display_phone_number = coalesce(excluded.display_phone_number, mapping.display_phone_number)
    returning id, phone_number_id, customer, conversation_id, first_message_id, xmax = 0 as opened
), profiled as (
    insert into customer_profiles as profile (phone, name, last_interaction_at)
    select distinct on (customer) customer, contact_name, sent_at from customers order by customer, sent_at desc
    on conflict (phone) do update
    set last_interaction_at = excluded.last_interaction_at,
        name = coalesce(excluded.name, profile.name),
        updated_at = now()
    where profile.last_interaction_at is null
       or profile.last_interaction_at < excluded.last_interaction_at - interval '1 minute'
), tracked as (
    insert into message_tracking
        (id, mapping_id, wamid, direction, status, message_type, media_url, is_new_conversation, sent_at,
         publish_claimed_by, publish_claimed_until, w3c_trace_id)
    select fresh.id, mapped.id, fresh.wamid, 'INBOUND', 'received', fresh.message_type, fresh.media_url,
           fresh.wamid = mapped.first_message_id, fresh.sent_at, $13::uuid, now() + $12::interval,
           fresh.w3c_trace_id
    from fresh
    join mapped on mapped.phone_number_id = fresh.number and mapped.customer = fresh.customer
    order by fresh.place
    on conflict (wamid) where wamid is not null do nothing
    returning id, wamid, mapping_id, is_new_conversation
)
select fresh.wamid, tracked.id is not null as tracked, tracked.mapping_id, tracked.is_new_conversation,
       mapped.conversation_id, mapped.opened, fresh.customer, fresh.owner_of_id, fresh.owner_of_parent_id,
       fresh.is_doubted
from fresh
join mapped on mapped.phone_number_id = fresh.number and mapped.customer = fresh.customer
left join tracked on tracked.wamid = fresh.wamid;

-- name: find_known
-- Messages that were tracked before, and whether their publication was confirmed.
select tracked.wamid, tracked.mapping_id, coalesce(tracked.is_new_conversation, false) as is_new_conversation,
       tracked.published_at is not null as published, mapping.conversation_id,
       coalesce(mapping.customer, mapping.wa_id) as customer
from unnest($1::text[]) as asked (wamid)
join message_tracking as tracked on tracked.wamid = asked.wamid
join conversation_mappings as mapping on mapping.id = tracked.mapping_id;

-- name: find_mappings
-- Which mapping these messages and conversations belong to now.
select 'message' as kind, tracked.wamid as reference, tracked.mapping_id
from message_tracking as tracked
where tracked.wamid = any($1::text[]) and tracked.direction = 'INBOUND'
union all
select 'conversation', mapping.conversation_id, mapping.id
from conversation_mappings as mapping
where mapping.conversation_id = any($2::text[]);

-- name: find_mapping_of_message
select mapping.id, mapping.phone_number_id, mapping.wa_id
from message_tracking as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
where tracked.wamid = $1 and tracked.direction = 'INBOUND';

-- name: lock_mapping_of_message
select mapping.id, mapping.phone_number_id, mapping.wa_id, mapping.conversation_id, mapping.conversation_seq,
       mapping.status, tracked.seq, mapping.metadata ? 'joined_into' as is_joined,
       exists (select from conversation_mappings as gone
               where coalesce(gone.customer, gone.wa_id) = coalesce(mapping.customer, mapping.wa_id)
                 and gone.metadata ->> 'joined_into' = mapping.id::text) as has_joined,
       exists (select from conversation_aliases as alias
               where alias.conversation_id = $2 and alias.mapping_id = mapping.id) as is_alias
from message_tracking as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
where tracked.wamid = $1 and tracked.direction = 'INBOUND'
for update of mapping;

-- name: find_conversation
select mapping.id, mapping.phone_number_id, mapping.wa_id, mapping.status, mapping.conversation_id
from conversation_mappings as mapping
where mapping.conversation_id = $1
union all
select mapping.id, mapping.phone_number_id, mapping.wa_id, mapping.status, mapping.conversation_id
from conversation_aliases as alias
join conversation_mappings as mapping on mapping.id = alias.mapping_id
where alias.conversation_id = $1;
