-- name: insert_events
-- Rows come sorted by their key, so that two writers of the same events do not deadlock.
insert into status_events
    (source, wamid, callback_data, genesys_message_id, status, occurred_at, errors, details, message_id, outcome)
select source, wamid, callback_data, genesys_id, status, occurred_at, errors::jsonb, details::jsonb, message_id, outcome
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
            $9::uuid[], $10::text[])
     as row (source, wamid, callback_data, genesys_id, status, occurred_at, errors, details, message_id, outcome)
on conflict (reference, status, occurred_at, source) do nothing
returning id, reference, status, occurred_at, source;

-- name: find_events
-- Events that were stored before.
select known.id, known.reference, known.status, known.occurred_at, known.source, known.outcome
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) as asked (reference, status, occurred_at, source)
join status_events as known
  on known.reference = asked.reference and known.status = asked.status
 and known.occurred_at = asked.occurred_at and known.source = asked.source;

-- name: find_waiting
-- Events not settled yet that name one of these references first, or in their callback data. A time that no client
-- can hold comes as none: with it nothing of the page could be read.
select id, source, wamid, callback_data, genesys_message_id, status,
       case when occurred_at between '0001-01-02' and '9999-12-30' then occurred_at end as occurred_at, errors, details
from status_events
where reference = any($1::text[]) and (outcome is null or outcome = 'unmatched')
union
select id, source, wamid, callback_data, genesys_message_id, status,
       case when occurred_at between '0001-01-02' and '9999-12-30' then occurred_at end as occurred_at, errors, details
from status_events
where callback_data = any($1::text[]) and message_id is null and (outcome is null or outcome = 'unmatched');

-- name: find_matchable
-- A page of what waits, after a place ($1, $2) in the order of arrival: the events whose message is there by now,
-- and the last of the page, so that the next one begins there. Lateral, so that each is looked up in an index.
-- Times as in `find_waiting`.
with page as materialized (
    select id, received_at, wamid, callback_data, genesys_message_id,
           case when callback_data ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]+$'
                then left(callback_data, 36)::uuid end as named,
           outcome is null or outcome = 'unmatched' as is_open
    from status_events
    where message_id is null and (received_at, id) > (coalesce($1::text::timestamptz, '-infinity'), coalesce($2::bigint, 0))
      and received_at > now() - $3::interval
      and not exists (select from rows_set_aside where job = 'unmatched statuses' and row_key = status_events.id::text)
    order by received_at, id
    limit $4
), looked_up as (
    select page.id, page.received_at,
           page.is_open and coalesce(tracked.found, attempted.found, named.found, known.found, false) as is_there
    from page
    left join lateral (
        select true as found from message_tracking where wamid = page.wamid and page.is_open limit 1
    ) as tracked on true
    left join lateral (
        select true as found from send_attempts where wamid = page.wamid and page.is_open limit 1
    ) as attempted on true
    left join lateral (select true as found from message_tracking where id = page.named limit 1) as named on true
    left join lateral (
        select true as found from message_tracking
        where genesys_message_id = page.genesys_message_id and replay_of is null
        limit 1
    ) as known on true
)
select event.id, source, wamid, callback_data, genesys_message_id, status,
       case when occurred_at between '0001-01-02' and '9999-12-30' then occurred_at end as occurred_at, errors, details,
       event.received_at::text as received_at, looked_up.is_there
from looked_up
cross join lateral (select * from status_events where id = looked_up.id limit 1) as event
where looked_up.is_there or looked_up.id = (select id from page order by received_at desc, id desc limit 1)
order by event.received_at, event.id;

-- name: match
-- The message of each event: by its wamid, by the wamid of an earlier attempt, by its callback data.
select event.place, coalesce(tracked.id, attempted.message_id, named.id) as message_id
from unnest($1::text[], $2::uuid[]) with ordinality as event (wamid, message_id, place)
left join lateral (
    select id from message_tracking where wamid = event.wamid limit 1
) as tracked on true
left join lateral (
    select message_id from send_attempts where wamid = event.wamid and tracked.id is null limit 1
) as attempted on true
left join lateral (
    select id from message_tracking
    where id = event.message_id and tracked.id is null and attempted.message_id is null
    limit 1
) as named on true
where coalesce(tracked.id, attempted.message_id, named.id) is not null;

-- name: match_genesys
-- The message that the agent platform knows by this id: the latest replay of it.
with recursive chain as (
    select asked.id as asked, tracked.id, 1 as depth
    from unnest($1::text[]) as asked (id)
    join message_tracking as tracked on tracked.genesys_message_id = asked.id and tracked.replay_of is null
    union all
    select chain.asked, replay.id, chain.depth + 1
    from chain
    join message_tracking as replay on replay.replay_of = chain.id
)
select distinct on (asked) asked, id as message_id from chain order by asked, depth desc;

-- name: lock_messages
-- With the customer of each, as their mapping says: the person, where the platform named them last, their id.
select id, direction, status, lane, wamid, genesys_message_id, client_message_id, campaign_id, sent_at, delivered_at,
       read_at, failed_at, error_code, error_message, w3c_trace_id, now() as at,
       (select array[coalesce(customer, wa_id)::text, wa_id::text, user_id]
        from conversation_mappings where id = tracked.mapping_id) as mapped,
       exists (select from broadcast_recipients where message_id = tracked.id)
           or exists (select from broadcast_recipients where wamid = tracked.wamid) as has_recipient
from message_tracking as tracked
where id = any($1::uuid[])
order by id
for update;

-- name: find_background
-- Beside the rows, which the caller has locked: attempts, failures reported before, and the stored body.
select asked.id,
       (select coalesce(jsonb_agg(jsonb_build_array(
                   attempt, outcome, wamid, error_code, error_message) order by attempt), '[]')
        from send_attempts where message_id = asked.id) as attempts,
       (select coalesce(jsonb_agg(jsonb_build_array(
                   id, source, wamid, callback_data, extract(epoch from occurred_at), errors) order by id), '[]')
        from status_events where message_id = asked.id and status = 'failed') as failures,
       exists (select from outbound_bodies where message_id = asked.id) as has_body
from unnest($1::uuid[]) as asked (id);

-- name: find_addressing
-- To whom the messages go, and what was asked for.
select tracked.id, tracked.lane, tracked.mapping_id, coalesce(mapping.customer, mapping.wa_id) as customer,
       mapping.wa_id, mapping.phone_number_id, mapping.conversation_id, body.queue, body.exchange, body.routing_key, body.body, body.headers
from unnest($1::uuid[]) as asked (id)
join message_tracking as tracked on tracked.id = asked.id
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
left join outbound_bodies as body on body.message_id = asked.id;

-- name: move_messages
-- One that was sent keeps its conversation alive, however long it waited; what somebody has locked is being
-- written to anyhow, and nobody waits for it.
with moved as (
    update message_tracking as tracked
    set status = row.status, wamid = row.wamid, sent_at = row.sent_at, delivered_at = row.delivered_at,
        read_at = row.read_at, failed_at = row.failed_at, error_code = row.error_code,
        error_message = row.error_message, updated_at = now()
    from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
                $7::timestamptz[], $8::text[], $9::text[])
         as row (id, status, wamid, sent_at, delivered_at, read_at, failed_at, error_code, error_message)
    where tracked.id = row.id
    returning tracked.mapping_id, tracked.status
), idle as (
    select id from conversation_mappings
    where id in (select mapping_id from moved where status = 'sent') and status = 'active'
      and last_activity_at < now() - interval '1 minute'
    for no key update skip locked
)
update conversation_mappings as mapping
set last_activity_at = now(), updated_at = now()
from idle
where mapping.id = idle.id;

-- name: end_attempts
update send_attempts as attempt
set outcome = row.outcome, wamid = row.wamid, error_code = row.error_code, error_message = row.error_message,
    http_status = coalesce(row.http_status, attempt.http_status),
    message_status = coalesce(row.message_status, attempt.message_status),
    finished_at = case when row.outcome is null then attempt.finished_at
                       else coalesce(attempt.finished_at, now()) end
from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[])
     as row (message_id, number, outcome, wamid, error_code, error_message, http_status, message_status)
where attempt.message_id = row.message_id and attempt.attempt = row.number;

-- name: settle_events
-- Whoever settled an event first has settled it.
update status_events as event
set outcome = row.outcome, message_id = row.message_id, raw_body = null, raw_headers = null
from unnest($1::bigint[], $2::uuid[], $3::text[]) as row (id, message_id, outcome)
where event.id = row.id and (event.outcome is null or event.outcome = 'unmatched')
  and (event.outcome is distinct from row.outcome or row.message_id is not null)
returning event.id;

-- name: keep_originals
-- What waits on keeps the message that it came as.
update status_events as event
set raw_body = row.raw_body, raw_headers = row.raw_headers::jsonb
from unnest($1::bigint[], $2::bytea[], $3::text[]) as row (id, raw_body, raw_headers)
where event.id = row.id;

-- name: read_originals
-- Of events that are not settled yet, as far as they are kept.
select id, raw_body, raw_headers from status_events
where id = any($1::bigint[]) and outcome = 'unmatched' and raw_body is not null;

-- name: resettle_events
-- Failures that came before and count now.
update status_events set outcome = 'applied' where id = any($1::bigint[]);

-- name: forget_bodies
delete from outbound_bodies where message_id = any($1::uuid[]);

-- name: drop_messages
-- Never attempted, so nothing ever happened. What was attempted stays `queued`, for when it comes again.
delete from message_tracking as tracked
where tracked.id = any($1::uuid[]) and tracked.status = 'queued'
  and not exists (select from send_attempts where message_id = tracked.id);
