-- name: expire_idle
with idle as (
    select id from conversation_mappings
    where status = 'active' and last_activity_at < now() - $1::interval
      and activity_hour <= now() - $1::interval
    order by activity_hour
    limit $2
    for update skip locked
)
update conversation_mappings as mapping
set status = 'expired', updated_at = now()
from idle
where mapping.id = idle.id
returning mapping.id, mapping.wa_id, mapping.phone_number_id, mapping.conversation_id, mapping.last_activity_at;

-- name: lock_due_ambiguous
-- What nobody knows about, whose wait is over; with everything the decision needs.
select row.id, row.message_id, row.body, row.headers, row.queue, row.exchange, row.routing_key, row.lane,
       tracked.status, last.attempt, last.outcome, coalesce(last.finished_at, last.started_at) as since,
       extract(epoch from now() - coalesce(last.finished_at, last.started_at))::float8 as age_s,
       (select count(*) from send_attempts as before
        where before.message_id = row.message_id and before.error_code = 'resent') as resends,
       exists (select from status_events as event
               where event.message_id is null
                 and event.callback_data = row.message_id || ':' || last.attempt) as has_news
from deferred_messages as row
join message_tracking as tracked on tracked.id = row.message_id
left join lateral (
    select attempt, outcome, started_at, finished_at from send_attempts
    where message_id = row.message_id order by attempt desc limit 1
) as last on true
where row.reason = 'ambiguous' and row.not_before <= now()
order by row.not_before, row.seq
limit $1
for update of row skip locked;

-- name: reached_by_statuses
-- How far the updaters have come: the latest start of an attempt of which the platform's word is stored. When an
-- event was stored says nothing of that: behind a backlog it came long before.
select max(attempt.started_at)
from (select message_id, source, wamid, callback_data from status_events order by id desc limit 2000) as seen
join send_attempts as attempt on attempt.message_id = seen.message_id
     and (attempt.wamid = seen.wamid or seen.callback_data = attempt.message_id || ':' || attempt.attempt)
where seen.source <> 'wabus';

-- name: postpone
update deferred_messages set not_before = now() + $2::interval where id = any($1::uuid[]);

-- name: release
-- Back to the sender: it acknowledges what is done and sends what may be sent.
update deferred_messages set reason = 'released', not_before = now() where id = any($1::uuid[]);

-- name: find_skipped
-- Messages that were tried once, whose recipients were then skipped: nobody tries them again.
select tracked.id, coalesce(recipient.skip_reason, 'skipped') as skip_reason, campaign.correlation_id
from message_tracking as tracked
join broadcast_recipients as recipient on recipient.message_id = tracked.id and recipient.status = 'skipped'
join broadcast_campaigns as campaign on campaign.id = tracked.campaign_id
where tracked.queued_lane is not null
  and exists (select from send_attempts as attempt where attempt.message_id = tracked.id)
  and not exists (select from send_attempts as attempt
                  where attempt.message_id = tracked.id
                    and (attempt.outcome is null or attempt.outcome in ('sent', 'ambiguous')))
limit $1;

-- name: abandon_attempts
update send_attempts as attempt
set outcome = 'abandoned', finished_at = coalesce(finished_at, now()), error_code = 'resent'
from unnest($1::uuid[], $2::integer[]) as row (message_id, attempt)
where attempt.message_id = row.message_id and attempt.attempt = row.attempt
  and (attempt.outcome is null or attempt.outcome = 'ambiguous');

-- name: give_up_attempts
update send_attempts as attempt
set outcome = 'failed', finished_at = coalesce(finished_at, now()), error_code = 'send_ambiguous'
from unnest($1::uuid[], $2::integer[]) as row (message_id, attempt)
where attempt.message_id = row.message_id and attempt.attempt = row.attempt
  and (attempt.outcome is null or attempt.outcome = 'ambiguous');

-- name: remove_deferred
delete from deferred_messages where id = any($1::uuid[]);

-- name: lock_forgotten
-- Messages past their retention that are still under way, with what is kept of them. One whose attempt is
-- younger than $2 may be decided yet.
select tracked.id, coalesce(row.queue, body.queue) as queue, coalesce(row.exchange, body.exchange) as exchange,
       coalesce(row.routing_key, body.routing_key) as routing_key, coalesce(row.body, body.body) as body,
       coalesce(row.headers, body.headers) as headers,
       (select greatest(1, count(*)) from send_attempts where message_id = tracked.id) as attempts
from message_tracking as tracked
left join deferred_messages as row on row.message_id = tracked.id
left join outbound_bodies as body on body.message_id = tracked.id
where tracked.created_at < now() - $1::interval and tracked.direction = 'OUTBOUND'
  and (tracked.status = 'queued' or row.id is not null)
  and not exists (select from send_attempts as attempt
                  where attempt.message_id = tracked.id and attempt.started_at > now() - $2::interval
                    and (attempt.outcome is null or attempt.outcome = 'ambiguous'))
order by tracked.created_at
limit $3
for update of tracked skip locked;

-- name: give_up_undecided
update send_attempts
set outcome = 'failed', finished_at = coalesce(finished_at, now()), error_code = 'send_ambiguous'
where message_id = any($1::uuid[]) and (outcome is null or outcome = 'ambiguous')
returning message_id;

-- name: remove_deferred_of
delete from deferred_messages where message_id = any($1::uuid[]);

-- name: read_queued
-- A page of what is queued, by the index of what waits. Missing: of age, not deferred, not lately attempted, not
-- back with its campaign; it is in a queue, or in nobody's hands.
with page as materialized (
    select id, mapping_id, queued_lane, seq, created_at
    from message_tracking
    where queued_lane is not null and (mapping_id, queued_lane, seq) > ($1, $2, $3)
    order by mapping_id, queued_lane, seq
    limit $4
)
select page.id, page.mapping_id, page.queued_lane, page.seq, body.queue,
       body.queue is not null and page.created_at < now() - $5::interval
       and not exists (select from deferred_messages as row where row.message_id = page.id)
       and not exists (select from send_attempts as attempt
                       where attempt.message_id = page.id
                         and coalesce(attempt.finished_at, attempt.started_at) > now() - $5::interval)
       and not exists (select from broadcast_recipients as recipient
                       where recipient.message_id = page.id and recipient.status <> 'queued') as is_missing
from page
left join outbound_bodies as body on body.message_id = page.id
order by page.mapping_id, page.queued_lane, page.seq;

-- name: defer_lost
-- Due now, in the order of their customers.
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, phone_number_id, customer, lane)
select body.queue, body.exchange, body.routing_key, body.body,
       jsonb_build_object('correlation_id', tracked.id, 'idempotency_key', tracked.id, 'x-attempt', 1) || body.headers,
       $2, now(), tracked.id, mapping.phone_number_id, mapping.wa_id, tracked.lane
from message_tracking as tracked
join conversation_mappings as mapping on mapping.id = tracked.mapping_id
join outbound_bodies as body on body.message_id = tracked.id
where tracked.id = any($1::uuid[]) and tracked.queued_lane is not null
order by tracked.seq
on conflict (message_id) where message_id is not null do nothing
returning message_id;

-- name: prune_messages
-- What is under way stays: it fails first.
delete from message_tracking
where id in (select id from message_tracking as tracked
             where created_at < now() - $1::interval and status <> 'queued'
               and not exists (select from deferred_messages as row where row.message_id = tracked.id)
             order by created_at limit $2 for update skip locked);

-- name: prune_status_events
delete from status_events
where id in (select id from status_events where received_at < now() - $1::interval
             order by received_at limit $2 for update skip locked);

-- name: prune_attempts
-- Not of what is under way: without them nobody knows how often, and whether, it was sent.
delete from send_attempts
where (message_id, attempt) in (select message_id, attempt from send_attempts
                                where started_at < now() - $1::interval
                                  and not exists (select from message_tracking as tracked
                                                  where tracked.id = message_id and tracked.status = 'queued')
                                  and not exists (select from deferred_messages as row
                                                  where row.message_id = send_attempts.message_id)
                                order by started_at limit $2 for update skip locked);

-- name: prune_bodies
-- Not of what is under way: it is sent from them yet.
delete from outbound_bodies
where message_id in (select message_id from outbound_bodies
                     where created_at < now() - $1::interval
                       and not exists (select from message_tracking as tracked
                                       where tracked.id = message_id and tracked.status = 'queued')
                       and not exists (select from deferred_messages as row
                                       where row.message_id = outbound_bodies.message_id)
                     order by created_at limit $2 for update skip locked);

-- name: count_active
select count(*) from conversation_mappings where status = 'active';

-- name: count_deferred
select reason, count(*) from deferred_messages group by reason;

-- name: count_pending_dead_letters
select count(*) from dead_letter_queue where status = 'pending';

-- name: read_circuits
select service, state from circuit_breakers;

-- name: count_paused_numbers
select count(*) from business_numbers where state = 'paused';
