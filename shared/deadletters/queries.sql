-- name: list
-- Open ones in the order of their worth; $1 false: settled ones. Bodies stay where they are.
select id, source_queue, exchange, routing_key, reason, error_message, headers, attempts, priority, status,
       message_id, replay_of, replay_count, created_at, replayed_at, dismissed_at, resolved_by, resolution,
       octet_length(raw_body) as body_bytes,
       extract(epoch from now() - created_at)::float8 as age_s,
       status = 'replaying' and claimed_until < now() as lapsed
from dead_letter_queue
where (($1 and status in ('pending', 'replaying')) or (not $1 and status in ('replayed', 'dismissed')))
  and ($2::text[] is null or reason = any($2))
  and ($3::text[] is null or source_queue = any($3))
  and ($4::interval is null or created_at <= now() - $4)
  and ($5::interval is null or created_at > now() - $5)
  and ($6::uuid[] is null or id = any($6))
order by priority desc, created_at, id
limit $7;

-- name: bodies
select id, payload, raw_body from dead_letter_queue where id = any($1::uuid[]);

-- name: count_by_reason
select reason, count(*) as letters
from dead_letter_queue
where (($1 and status in ('pending', 'replaying')) or (not $1 and status in ('replayed', 'dismissed')))
  and ($2::text[] is null or reason = any($2))
  and ($3::text[] is null or source_queue = any($3))
  and ($4::interval is null or created_at <= now() - $4)
  and ($5::interval is null or created_at > now() - $5)
  and ($6::uuid[] is null or id = any($6))
group by reason
order by letters desc, reason;

-- name: glance_at_pending
-- Of these reasons, each counted up to $2, by the index alone.
select asked.reason, known.letters
from unnest($1::text[]) as asked (reason)
cross join lateral (
    select count(*) as letters
    from (select from dead_letter_queue where status = 'pending' and reason = asked.reason limit $2) as first_ones
) as known
where known.letters > 0
order by known.letters desc, asked.reason;

-- name: choose
-- What may be replayed or dismissed: pending, or claimed by a replay that ended before it was marked.
select id, reason
from dead_letter_queue
where status in ('pending', 'replaying') and (status = 'pending' or claimed_until < now())
  and ($1::text[] is null or reason = any($1))
  and ($2::text[] is null or source_queue = any($2))
  and ($3::interval is null or created_at <= now() - $3)
  and ($4::interval is null or created_at > now() - $4)
  and ($5::uuid[] is null or id = any($5))
order by priority desc, created_at, id
limit $6;

-- name: targets
-- Where these would go back to.
select id, reason, source_queue, exchange, routing_key from dead_letter_queue where id = any($1::uuid[]) order by id;

-- name: find
-- By the beginning of an id, written as the lowest and the highest id with it.
select id from dead_letter_queue where id between $1 and $2 order by id limit 2;

-- name: get
select letter.*, extract(epoch from now() - created_at)::float8 as age_s,
       (select array_agg(later.id order by later.created_at) from dead_letter_queue as later
        where later.replay_of = letter.id) as later_deaths
from dead_letter_queue as letter
where id = $1;

-- name: count_pending
select count(*) from dead_letter_queue
where status in ('pending', 'replaying') and (status = 'pending' or claimed_until < now());

-- name: claim
-- One operator's until `claimed_until`, which also is the proof of the claim. A message that failed is named:
-- its replay is a new row beside it; where that one is under way still, it goes on.
with chosen as (
    select id from dead_letter_queue
    where id = any($1::uuid[])
      and status in ('pending', 'replaying') and (status = 'pending' or claimed_until < now())
      and ($4 or reason <> 'send_ambiguous')
    order by id
    for update skip locked
)
update dead_letter_queue as letter
set status = 'replaying', claimed_until = now() + $2::interval, resolved_by = $3
from chosen
where letter.id = chosen.id
returning letter.id, letter.claimed_until, letter.source_queue, letter.exchange, letter.routing_key,
          letter.reason, letter.raw_body, letter.headers, letter.metadata, letter.priority,
          extract(epoch from letter.created_at)::float8 as stored_at,
          (select case message.status when 'failed' then message.id when 'queued' then message.replay_of end
           from message_tracking as message where message.id = letter.message_id) as failed_message;

-- name: mark_replayed
update dead_letter_queue as letter
set status = 'replayed', replayed_at = now(), claimed_until = null, resolved_by = $3, resolution = $4,
    replay_count = letter.replay_count + 1
from unnest($1::uuid[], $2::timestamptz[]) as claim (id, claimed_until)
where letter.id = claim.id and letter.status = 'replaying' and letter.claimed_until = claim.claimed_until
returning letter.id, letter.replay_of;

-- name: count_on_first
update dead_letter_queue as first
set replay_count = first.replay_count + replayed.times
from (select id, count(*) as times from unnest($1::uuid[]) as later (id) group by id) as replayed
where first.id = replayed.id;

-- name: unclaim
update dead_letter_queue as letter
set status = 'pending', claimed_until = null, resolved_by = null
from unnest($1::uuid[], $2::timestamptz[]) as claim (id, claimed_until)
where letter.id = claim.id and letter.status = 'replaying' and letter.claimed_until = claim.claimed_until;

-- name: due_by_themselves
-- What an error of the database killed, after a while, so many times counted on the first of a chain; as many as
-- there is room for their bodies ($4); none that was tried in this round ($5).
with due as (
    select letter.id, letter.priority, letter.created_at, octet_length(letter.raw_body) as bytes
    from dead_letter_queue as letter
    left join lateral (
        select replay_count from dead_letter_queue where id = letter.replay_of limit 1
    ) as first on true
    where letter.status in ('pending', 'replaying')
      and (letter.status = 'pending' or letter.claimed_until < now())
      and letter.automatic and letter.reason in ('lock_timeout', 'database_error')
      and letter.created_at <= now() - $1::interval
      and coalesce(first.replay_count, letter.replay_count) < $2
      and letter.id <> all ($5::uuid[])
      and not exists (select from rows_set_aside where job = 'replays' and row_key = letter.id::text)
    order by letter.priority desc, letter.created_at
    limit $3
)
select id
from (select *, sum(bytes) over (order by priority desc, created_at, id) as total from due) as summed
where total - bytes < $4
order by priority desc, created_at, id;

-- name: leave_to_people
-- Those that have gone back by themselves as often as they may: nothing looks at them again by itself.
update dead_letter_queue
set automatic = false
where id = any(array(
    select letter.id
    from dead_letter_queue as letter
    left join lateral (
        select replay_count from dead_letter_queue where id = letter.replay_of limit 1
    ) as first on true
    where letter.automatic and letter.status in ('pending', 'replaying')
      and letter.reason in ('lock_timeout', 'database_error')
      and coalesce(first.replay_count, letter.replay_count) >= $1
    order by letter.priority desc, letter.created_at
    limit $2
));

-- name: dismiss
update dead_letter_queue
set status = 'dismissed', dismissed_at = now(), claimed_until = null, resolved_by = $2, resolution = $3
where id = any($1::uuid[])
  and status in ('pending', 'replaying') and (status = 'pending' or claimed_until < now())
returning id;

-- name: prune_settled
-- Never the first of a chain that is still open: the replays are counted on it.
delete from dead_letter_queue
where id = any(array(
    select id from dead_letter_queue as letter
    where status in ('replayed', 'dismissed')
      and coalesce(replayed_at, dismissed_at, created_at) < now() - $1::interval
      and (select true from dead_letter_queue as later
           where later.replay_of = letter.id and later.status in ('pending', 'replaying') limit 1) is null
    order by coalesce(replayed_at, dismissed_at, created_at)
    limit $2
    for update skip locked
));

-- name: count_pending_dead_letters
-- As the active conversations: counted up to $1, beyond that PostgreSQL's estimate.
select case when counted <= $1 then counted
            else greatest(counted, (select reltuples::bigint from pg_class
                                    where oid = 'dead_letter_queue_pending'::regclass)) end
from (select count(*) as counted
      from (select from dead_letter_queue where status = 'pending' limit $1::bigint + 1) as first_ones) as known;
