-- name: find_due_ambiguous
-- The messages of which nobody knows anything, whose wait is over: as many as there is room for their bodies ($2).
-- Nothing is locked yet: everybody locks a message before what belongs to it.
with due as (
    select message_id, not_before, seq, octet_length(body) as bytes
    from deferred_messages
    where reason = 'ambiguous' and not_before <= now()
      and not exists (select from rows_set_aside where job = 'ambiguous sends' and row_key = message_id::text)
    order by not_before, seq
    limit $1
)
select message_id
from (select message_id, bytes, sum(bytes) over (order by not_before, seq) as total from due) as summed
where total - bytes < $2;

-- name: lock_messages
-- At which nobody else is.
select id from message_tracking where id = any($1::uuid[]) order by id for update skip locked;

-- name: lock_ambiguous
-- Of locked messages, those that are still ambiguous and due; with everything the decision needs.
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
where row.message_id = any($1::uuid[]) and row.reason = 'ambiguous' and row.not_before <= now()
order by row.not_before, row.seq
for update of row skip locked;

-- name: reached_by_statuses
-- How far the updaters have come: the latest start of an attempt of which the platform's word is stored. When an
-- event was stored says nothing of that: behind a backlog it came long before. An impossible time tells nothing.
select max(attempt.started_at)
from (select message_id, source, wamid, callback_data from status_events order by id desc limit 2000) as seen
join send_attempts as attempt on attempt.message_id = seen.message_id
     and (attempt.wamid = seen.wamid or seen.callback_data = attempt.message_id || ':' || attempt.attempt)
where seen.source <> 'wabus' and attempt.started_at between '0001-01-02' and now();

-- name: find_skipped
-- Messages that were tried once, whose recipients were then skipped: nobody tries them again. From those that
-- campaigns have under way, not from the recipients.
with waiting as materialized (
    select id, campaign_id from message_tracking where queued_lane is not null and campaign_id is not null
)
select waiting.id, skipped.skip_reason,
       (select correlation_id from broadcast_campaigns where id = waiting.campaign_id) as correlation_id
from waiting
cross join lateral (
    select coalesce(skip_reason, 'skipped') as skip_reason from broadcast_recipients
    where message_id = waiting.id and status = 'skipped'
    limit 1
) as skipped
cross join lateral (
    select count(*) as attempts, count(*) filter (where outcome is null or outcome in ('sent', 'ambiguous')) as undecided
    from send_attempts
    where message_id = waiting.id
) as made
where made.attempts > 0 and made.undecided = 0
  and not exists (select from rows_set_aside where job = 'skipped recipients' and row_key = waiting.id::text)
limit $1;

-- name: find_forgotten
-- Messages past their retention that are still under way. One whose attempt is younger than $2 may be decided yet: its
-- attempts are looked up one by one, for of `not exists` the planner may read all of the last hour.
select tracked.id
from message_tracking as tracked
where tracked.created_at < now() - $1::interval and tracked.direction = 'OUTBOUND'
  and (tracked.status = 'queued'
       or exists (select from deferred_messages as row where row.message_id = tracked.id))
  and (select true from send_attempts as attempt
       where attempt.message_id = tracked.id and attempt.started_at > now() - $2::interval
         and (attempt.outcome is null or attempt.outcome = 'ambiguous')
       limit 1) is null
  and not exists (select from rows_set_aside where job = 'forgotten messages' and row_key = tracked.id::text)
order by tracked.created_at
limit $3;

-- name: lock_forgotten
-- Of these, those of which it is still true, with what is kept of them.
select tracked.id, coalesce(row.queue, body.queue) as queue, coalesce(row.exchange, body.exchange) as exchange,
       coalesce(row.routing_key, body.routing_key) as routing_key, coalesce(row.body, body.body) as body,
       coalesce(row.headers, body.headers) as headers,
       (select greatest(1, count(*)) from send_attempts where message_id = tracked.id) as attempts
from message_tracking as tracked
left join deferred_messages as row on row.message_id = tracked.id
left join outbound_bodies as body on body.message_id = tracked.id
where tracked.id = any($1::uuid[]) and (tracked.status = 'queued' or row.id is not null)
  and not exists (select from send_attempts as attempt
                  where attempt.message_id = tracked.id and attempt.started_at > now() - $2::interval
                    and (attempt.outcome is null or attempt.outcome = 'ambiguous'))
order by tracked.id
for update of tracked skip locked;

-- name: read_queued
-- A page of what is queued, by the index of what waits. Missing: of age, not deferred, not lately attempted, not
-- back with its campaign, not about to be replayed; it is in a queue, or in nobody's hands.
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
                       where recipient.message_id = page.id and recipient.status <> 'queued')
       and not exists (select from rows_set_aside where job = 'lost messages' and row_key = page.id::text)
       and not exists (select from dead_letter_queue as letter
                       where letter.message_id = page.id and letter.untold
                         and letter.status in ('pending', 'replaying')) as is_missing
from page
left join lateral (select queue from outbound_bodies where message_id = page.id limit 1) as body on true
order by page.mapping_id, page.queued_lane, page.seq;
