-- name: lock_addresses
-- Of the person with this one, in the order in which a join locks them, and before anything else of theirs.
select address from customer_addresses
where phone = coalesce((select phone from customer_addresses where address = $1), $1)
order by address
for update;

-- name: mappings
-- A row of before may know them by the id beside their phone.
select id, conversation_id, phone_number_id
from conversation_mappings
where coalesce(customer, wa_id) = any($1::text[]) or (customer is null and user_id = any($1::text[]))
order by id;

-- name: lock_mappings
select id from conversation_mappings
where coalesce(customer, wa_id) = any($1::text[]) or (customer is null and user_id = any($1::text[]))
order by id
for update;

-- name: messages
select id, wamid, genesys_message_id, client_message_id from message_tracking where mapping_id = any($1::uuid[]);

-- name: lock_messages
-- In the order in which everyone locks messages.
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: wamids_of_attempts
select wamid from send_attempts where message_id = any($1::uuid[]) and wamid is not null;

-- name: conversation_ids
select conversation_id from conversation_aliases where mapping_id = any($1::uuid[]);

-- name: numbers
-- Business numbers under which keys of the customer may be cached.
select phone_number_id from business_numbers
union
select service from circuit_breakers
union
select campaign.phone_number_id
from broadcast_recipients as recipient
join broadcast_campaigns as campaign on campaign.id = recipient.campaign_id
where coalesce(recipient.customer, recipient.wa_id) = any($1::text[]) and campaign.phone_number_id is not null;

-- name: find_dead_letters
-- Whatever carries one of the addresses as a value at any depth ($1), or is
-- about one of the messages or conversations. Where the body is no JSON object, the bytes are searched ($5).
-- `shared`: a launch with other recipients too, of which only this one is to go.
select id, payload @? '$.recipients[*].wa_id' as shared
from dead_letter_queue
where message_id = any($2::uuid[])
   or payload ->> 'wamid' = any($3::text[])
   or payload ->> 'whatsapp_message_id' = any($3::text[])
   or payload ->> 'conversation_id' = any($4::text[])
   or payload ->> 'genesys_message_id' = any($4::text[])
   or payload ->> 'client_message_id' = any($4::text[])
   or split_part(payload ->> 'callback_data', ':', 1) = any($2::uuid[]::text[])
   or jsonb_path_exists(payload, '$.** ? (@ == $addresses[*])', $1::jsonb)
   or jsonb_path_exists(headers, '$.** ? (@ == $addresses[*])', $1::jsonb)
   or jsonb_path_exists(metadata, '$.** ? (@ == $addresses[*])', $1::jsonb)
   or concat_ws(' ', routing_key, payload ->> 'client_message_id', dedupe_key, error_message) ~ $5
   or (jsonb_typeof(payload) is distinct from 'object' and encode(raw_body, 'escape') ~ $5)
order by id;

-- name: shorten_launches
-- A campaign's launch loses the recipient, and keeps the others.
update dead_letter_queue as letter
set payload = shortened.payload, raw_body = convert_to(shortened.payload::text, 'UTF8')
from (
    select id, jsonb_set(payload, '{recipients}', (
               select coalesce(jsonb_agg(recipient order by place), '[]')
               from jsonb_array_elements(payload -> 'recipients') with ordinality as row (recipient, place)
               where not jsonb_path_exists(recipient, '$.** ? (@ == $addresses[*])', $2::jsonb)
           )) as payload
    from dead_letter_queue
    where id = any($1::uuid[]) and jsonb_typeof(payload -> 'recipients') = 'array'
) as shortened
where letter.id = shortened.id and shortened.payload -> 'recipients' <> '[]'
  and not jsonb_path_exists(shortened.payload, '$.** ? (@ == $addresses[*])', $2::jsonb)
returning letter.id;

-- name: find_deferred
-- A row of another customer that only mentions this one stays: its message would be lost.
select id from deferred_messages
where message_id = any($2::uuid[])
   or customer = any($1::text[])
   or (message_id is null and customer is null and encode(body, 'escape') ~ $3);

-- name: find_events
-- Those that are still to be published go only if they are about the person; of the others, a mention is enough.
select id from outbox_events
where aggregate_id = any($3::text[])
   or payload ->> 'wa_id' = any($1::text[])
   or payload ->> 'customer' = any($1::text[])
   or payload ->> 'mapping_id' = any($3::text[])
   or payload ->> 'message_id' = any($3::text[])
   or payload ->> 'wamid' = any($4::text[])
   or (published_at is not null and jsonb_path_exists(payload, '$.** ? (@ == $addresses[*])', $2::jsonb));

-- name: delete_status_events
delete from status_events where message_id = any($1::uuid[]);

-- name: find_unmatched_events
-- The message that an event came as has more than was read of it: its bytes are searched ($5).
select id from status_events
where message_id is null
  and (wamid = any($3::text[])
       or genesys_message_id = any($4::text[])
       or split_part(callback_data, ':', 1) = any($2::uuid[]::text[])
       or jsonb_path_exists(details, '$.** ? (@ == $addresses[*])', $1::jsonb)
       or jsonb_path_exists(raw_headers, '$.** ? (@ == $addresses[*])', $1::jsonb)
       or encode(raw_body, 'escape') ~ $5);

-- name: delete_unmatched_events
delete from status_events where id = any($1::bigint[]);

-- name: delete_attempts
delete from send_attempts where message_id = any($1::uuid[]);

-- name: delete_bodies
delete from outbound_bodies where message_id = any($1::uuid[]);

-- name: find_recipients
select id from broadcast_recipients
where coalesce(customer, wa_id) = any($1::text[]) or message_id = any($2::uuid[]);

-- name: forget_launches
-- The raw bodies of launches in which these recipients stood.
update broadcast_campaigns
set metadata = metadata #- '{mended,raw_body_base64}'
where id in (select campaign_id from broadcast_recipients where id = any($1::bigint[]))
  and metadata #> '{mended,raw_body_base64}' is not null;

-- name: delete_recipients
delete from broadcast_recipients where id = any($1::bigint[]);

-- name: delete_deferred
delete from deferred_messages where id = any($1::uuid[]);

-- name: delete_dead_letters
delete from dead_letter_queue where id = any($1::uuid[]);

-- name: delete_events
delete from outbox_events where id = any($1::uuid[]);

-- name: delete_events_of
delete from outbox_events where aggregate_id = any($1::text[]);

-- name: delete_messages
delete from message_tracking where id = any($1::uuid[]);

-- name: delete_aliases
delete from conversation_aliases where mapping_id = any($1::uuid[]);

-- name: delete_mappings
delete from conversation_mappings where id = any($1::uuid[]);

-- name: delete_profiles
delete from customer_profiles where phone = any($1::text[]);

-- name: delete_consents
delete from consent_events where phone = any($1::text[]);

-- name: delete_addresses
-- One that somebody new writes from is no longer theirs.
with left_behind as (
    update customer_addresses
    set left_for = null, left_at = null
    where left_for in (select address from customer_addresses where phone = $1) and phone <> $1
)
delete from customer_addresses where phone = $1;
