-- name: find_idle
select id from conversation_mappings
where status = 'active' and last_activity_at < now() - $1::interval
  and activity_hour <= now() - $1::interval
  and not exists (select from rows_set_aside where job = 'expiry' and row_key = id::text)
order by activity_hour
limit $2;

-- name: expire_idle
with idle as (
    select id from conversation_mappings
    where id = any($2::uuid[]) and status = 'active' and last_activity_at < now() - $1::interval
    order by id
    for update skip locked
)
update conversation_mappings as mapping
set status = 'expired', updated_at = now()
from idle
where mapping.id = idle.id
returning mapping.id, mapping.wa_id, mapping.phone_number_id, mapping.conversation_id, mapping.last_activity_at;

-- name: find_due_ambiguous
select id from deferred_messages
where reason = 'ambiguous' and not_before <= now()
  and not exists (select from rows_set_aside where job = 'ambiguous sends' and row_key = id::text)
order by not_before, seq
limit $1;

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
where row.id = any($1::uuid[]) and row.reason = 'ambiguous' and row.not_before <= now()
order by row.not_before, row.seq
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
  and not exists (select from rows_set_aside where job = 'skipped recipients' and row_key = tracked.id::text)
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

-- name: prune_messages
delete from message_tracking
where id in (select id from message_tracking where created_at < now() - $1::interval
             order by created_at limit $2 for update skip locked);

-- name: prune_status_events
delete from status_events
where id in (select id from status_events where received_at < now() - $1::interval
             order by received_at limit $2 for update skip locked);

-- name: prune_attempts
delete from send_attempts
where (message_id, attempt) in (select message_id, attempt from send_attempts
                                where started_at < now() - $1::interval
                                order by started_at limit $2 for update skip locked);

-- name: prune_bodies
delete from outbound_bodies
where message_id in (select message_id from outbound_bodies where created_at < now() - $1::interval
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
