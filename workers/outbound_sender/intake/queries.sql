-- name: find_known
-- Rows of the same ids, whoever they belong to, and whose the address is that it goes to, by the platform's
-- notation of it ($4): both in one round trip. `place` is the candidate's.
select given.place, tracked.id, tracked.mapping_id, tracked.status, tracked.content_hash,
       mapping.phone_number_id as number, coalesce(mapping.customer, mapping.wa_id) as customer, mapping.wa_id,
       mapping.conversation_id, coalesce(known.phone, given.address) as whose
from unnest($1::integer[], $2::text[], $3::text[], $4::text[]) as given (place, genesys_id, client_id, address)
left join customer_addresses as known on known.address = given.address and known.released_at is null
left join lateral (
    select row.id, row.mapping_id, row.status, row.content_hash
    from message_tracking as row
    where row.genesys_message_id = given.genesys_id and row.replay_of is null
    union
    select row.id, row.mapping_id, row.status, row.content_hash
    from message_tracking as row
    where row.client_message_id = given.client_id and row.replay_of is null
) as tracked on true
left join conversation_mappings as mapping on mapping.id = tracked.mapping_id;

-- name: find_unburied
-- Of failed messages those that have no dead letter yet, and how they failed.
select failed.id, failed.error_code as code, coalesce(failed.error_message, '') as text, last.http_status
from message_tracking as failed
left join lateral (
    select attempt.http_status from send_attempts as attempt
    where attempt.message_id = failed.id
    order by attempt.attempt desc
    limit 1
) as last on true
where failed.id = any($1::uuid[]) and failed.status = 'failed'
    and not exists (select from dead_letter_queue as letter where letter.message_id = failed.id);

-- name: find_replayed
-- Of a replay: the message it repeats, by its own id or by the ids in the body, and the row of the replay.
select given.place, base.id as base_id, base.status as base_status,
       found.id, found.mapping_id, found.status, mapping.phone_number_id as number,
       coalesce(mapping.customer, mapping.wa_id) as customer, mapping.wa_id, mapping.conversation_id
from unnest($1::integer[], $2::uuid[], $3::text[], $4::text[])
     as given (place, message_id, genesys_id, client_id)
cross join lateral (
    select row.id, row.status from message_tracking as row where row.id = given.message_id
    union all
    select row.id, row.status from message_tracking as row
    where row.genesys_message_id = given.genesys_id and row.replay_of is null
    union all
    select row.id, row.status from message_tracking as row
    where row.client_message_id = given.client_id and row.replay_of is null
    limit 1
) as base
left join message_tracking as replay on replay.replay_of = base.id
join message_tracking as found on found.id = coalesce(replay.id, base.id)
join conversation_mappings as mapping on mapping.id = found.mapping_id;

-- name: find_conversations
-- The mapping that a conversation id or an alias names: the active one, else the newest decides.
select given.conversation_id as asked, named.id as mapping_id, named.phone_number_id as number,
       coalesce(named.customer, named.wa_id) as customer, named.wa_id, named.conversation_id, named.status
from unnest($1::text[]) as given (conversation_id)
cross join lateral (
    select mapping.*
    from (
        select own.id from conversation_mappings as own where own.conversation_id = given.conversation_id
        union
        select alias.mapping_id from conversation_aliases as alias
        where alias.conversation_id = given.conversation_id
    ) as candidate (id)
    join conversation_mappings as mapping on mapping.id = candidate.id
    order by mapping.status = 'active' desc, mapping.created_at desc, mapping.id desc
    limit 1
) as named;

-- name: find_numbers
-- The number that each of these customers is in touch with: of their active mappings the latest.
select distinct on (coalesce(customer, wa_id)) coalesce(customer, wa_id) as customer, phone_number_id as number
from conversation_mappings
where coalesce(customer, wa_id) = any($1::text[]) and status = 'active'
order by coalesce(customer, wa_id), last_activity_at desc, created_at desc, id desc;

-- name: find_active
-- The person's mapping, else the one that has this very address: one of before whose customer is not told yet.
select given.customer as asked, mapping.id as mapping_id, mapping.phone_number_id as number,
       coalesce(mapping.customer, mapping.wa_id) as customer, mapping.wa_id, mapping.conversation_id
from unnest($1::text[], $2::text[], $3::text[]) as given (number, customer, wa_id)
cross join lateral (
    (select id from conversation_mappings
     where phone_number_id = given.number and coalesce(customer, wa_id) = given.customer and status = 'active')
    union all
    (select id from conversation_mappings
     where phone_number_id = given.number and wa_id = given.wa_id and status = 'active')
    limit 1
) as found
join conversation_mappings as mapping on mapping.id = found.id;

-- name: find_locked
-- Mappings that somebody else keeps locked now: no message can refer to them before. Waits for nobody.
with free as (
    select id from conversation_mappings where id = any($1::uuid[]) for key share skip locked
)
select mapping.id
from conversation_mappings as mapping
where mapping.id = any($1::uuid[]) and not exists (select from free where free.id = mapping.id);

-- name: track
-- A row for each new message, in their order, with the original body until the message is final. Not
-- returned: another replica was first, or its mapping is not active any more: it was closed, or joined to another
-- one of its person's, for which a key share of it waits. A recipient whose message failed follows its replay. A
-- message keeps its conversation alive; one that somebody has locked is being written to anyhow, and nobody waits.
with given as (
    select *
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::bytea[], $11::uuid[], $12::text[], $13::text[], $14::text[],
                $15::text[], $16::bytea[], $17::text[], $18::boolean[], $19::uuid[])
         with ordinality as row (id, mapping_id, wa_id, genesys_id, client_id, message_type, media_url, lane,
                                 campaign_id, content_hash, replay_of, metadata, queue, exchange, routing_key,
                                 body, headers, replayed, w3c_trace_id, place)
), mapped as (
    select mapping.id, mapping.wa_id, coalesce(mapping.customer, mapping.wa_id) as customer
    from conversation_mappings as mapping
    where mapping.id in (select mapping_id from given) and mapping.status = 'active'
    order by mapping.phone_number_id, coalesce(mapping.customer, mapping.wa_id)
    for key share
), fresh as (
    insert into message_tracking
        (id, mapping_id, genesys_message_id, client_message_id, direction, status, message_type, media_url,
         lane, campaign_id, content_hash, replay_of, metadata, w3c_trace_id)
    select given.id, mapped.id, given.genesys_id, given.client_id, 'OUTBOUND', 'queued', given.message_type,
           given.media_url, given.lane, campaign.id, given.content_hash, given.replay_of, given.metadata::jsonb,
           given.w3c_trace_id
    from given
    join mapped on mapped.id = given.mapping_id
    left join broadcast_campaigns as campaign on campaign.id = given.campaign_id
    order by given.place
    on conflict do nothing
    returning id, mapping_id, campaign_id
), bodies as (
    insert into outbound_bodies (message_id, queue, exchange, routing_key, body, headers)
    select given.id, given.queue, given.exchange, given.routing_key, given.body, given.headers::jsonb
    from fresh
    join given on given.id = fresh.id
), recipients as (
    update broadcast_recipients as recipient
    set message_id = fresh.id, status = 'queued', customer = mapped.customer, wamid = null, error_code = null, sent_at = null,
        delivered_at = null, read_at = null, updated_at = now()
    from fresh
    join given on given.id = fresh.id
    join mapped on mapped.id = fresh.mapping_id
    where recipient.campaign_id = fresh.campaign_id and recipient.wa_id = coalesce(given.wa_id, mapped.wa_id)
      and (recipient.status = 'queued'
           or (given.replayed and recipient.status = 'failed'
               and recipient.message_id is not distinct from given.replay_of))
), touched as (
    update conversation_mappings as mapping
    set last_activity_at = now(), updated_at = now()
    from (select id from conversation_mappings
          where id in (select mapping_id from fresh) and status = 'active'
            and last_activity_at < now() - interval '1 minute'
          for no key update skip locked) as idle
    where mapping.id = idle.id
)
select fresh.id, mapped.customer from fresh join mapped on mapped.id = fresh.mapping_id;
