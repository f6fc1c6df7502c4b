-- name: find_known
-- Rows of the same ids, whoever they belong to. `place` is the candidate's.
select given.place, tracked.id, tracked.mapping_id, tracked.status, tracked.content_hash,
       mapping.phone_number_id as number, mapping.wa_id as customer, mapping.conversation_id
from unnest($1::integer[], $2::text[], $3::text[]) as given (place, genesys_id, client_id)
cross join lateral (
    select row.id, row.mapping_id, row.status, row.content_hash
    from message_tracking as row
    where row.genesys_message_id = given.genesys_id and row.replay_of is null
    union
    select row.id, row.mapping_id, row.status, row.content_hash
    from message_tracking as row
    where row.client_message_id = given.client_id and row.replay_of is null
) as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id;

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
       found.id, found.mapping_id, found.status,
       mapping.phone_number_id as number, mapping.wa_id as customer, mapping.conversation_id
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
select given.conversation_id as asked, named.id as mapping_id, named.phone_number_id as number, named.wa_id as customer,
       named.conversation_id, named.status
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
select distinct on (wa_id) wa_id as customer, phone_number_id as number
from conversation_mappings
where wa_id = any($1::text[]) and status = 'active'
order by wa_id, last_activity_at desc, created_at desc, id desc;

-- name: find_active
select mapping.id as mapping_id, mapping.phone_number_id as number, mapping.wa_id as customer, mapping.conversation_id
from unnest($1::text[], $2::text[]) as given (number, customer)
join conversation_mappings as mapping
    on mapping.phone_number_id = given.number and mapping.wa_id = given.customer and mapping.status = 'active';

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
-- returned: another replica was first, or a mapping known from the cache is not active any more. A recipient
-- whose message failed follows its replay. A message keeps its conversation alive; one that somebody has locked
-- is being written to anyhow, and nobody waits for it.
with given as (
    select *
    from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::bytea[], $11::uuid[], $12::text[], $13::text[], $14::text[],
                $15::text[], $16::bytea[], $17::text[], $18::boolean[], $19::uuid[])
         with ordinality as row (id, mapping_id, hinted, genesys_id, client_id, message_type, media_url, lane,
                                 campaign_id, content_hash, replay_of, metadata, queue, exchange, routing_key,
                                 body, headers, replayed, w3c_trace_id, place)
), fresh as (
    insert into message_tracking
        (id, mapping_id, genesys_message_id, client_message_id, direction, status, message_type, media_url,
         lane, campaign_id, content_hash, replay_of, metadata, w3c_trace_id)
    select given.id, mapping.id, given.genesys_id, given.client_id, 'OUTBOUND', 'queued', given.message_type,
           given.media_url, given.lane, campaign.id, given.content_hash, given.replay_of, given.metadata::jsonb,
           given.w3c_trace_id
    from given
    join conversation_mappings as mapping
        on mapping.id = given.mapping_id and (mapping.status = 'active' or not given.hinted)
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
    set message_id = fresh.id, status = 'queued', wamid = null, error_code = null, sent_at = null,
        delivered_at = null, read_at = null, updated_at = now()
    from fresh
    join given on given.id = fresh.id
    join conversation_mappings as mapping on mapping.id = fresh.mapping_id
    where recipient.campaign_id = fresh.campaign_id and recipient.wa_id = mapping.wa_id
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
select id from fresh;
