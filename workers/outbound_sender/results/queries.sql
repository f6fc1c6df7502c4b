-- name: lock_messages
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: find_told
-- The event by which it was last told how each message ended: of its latest replay that ended, and where it was told
-- to be sent and to have failed, the one that stands. Events are found by their trace, which the statuses keep; one
-- that a thousand messages share is read once.
with recursive chain as (
    select asked.id as asked, asked.id, 1 as depth
    from unnest($1::uuid[]) as asked (id)
    union all
    select chain.asked, replay.id, chain.depth + 1
    from chain
    join message_tracking as replay on replay.replay_of = chain.id
), traces as (
    select chain.id::text as trace_id from chain
    union
    select event.details ->> 'trace_id' from chain join status_events as event on event.message_id = chain.id
)
select distinct on (chain.asked) told.id
from traces
cross join lateral (
    select event.id, event.aggregate_id, event.event_type
    from outbox_events as event
    where event.correlation_id = traces.trace_id and event.aggregate_type = 'message'
      and event.event_type in ('outbound.sent', 'outbound.failed')
) as told
join chain on chain.id::text = told.aggregate_id
join message_tracking as tracked on tracked.id = chain.id
order by chain.asked, chain.depth desc, (told.event_type = 'outbound.failed') = (tracked.status = 'failed') desc,
         told.id desc;
