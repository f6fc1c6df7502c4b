-- name: find_old_messages
-- What is under way stays: it fails first.
select id from message_tracking as tracked
where created_at < now() - $1::interval and status <> 'queued'
  and not exists (select from deferred_messages as row where row.message_id = tracked.id)
  and not exists (select from rows_set_aside where job = 'retention' and row_key = tracked.id::text)
order by created_at
limit $2;

-- name: prune_messages
-- Of these, those of which it is still true. The ids as an array, here and below: of a join the planner thinks that
-- it may be long, and reads the whole table.
delete from message_tracking
where id = any(array(select id from message_tracking as tracked
                     where id = any($1::uuid[]) and status <> 'queued'
                       and not exists (select from deferred_messages as row where row.message_id = tracked.id)
                     order by id for update skip locked));

-- name: prune_status_events
delete from status_events
where id = any(array(select id from status_events where received_at < now() - $1::interval
                     order by received_at limit $2 for update skip locked));

-- name: prune_attempts
-- Not of what is under way: without them nobody knows how often, and whether, it was sent. By their places, for they
-- are locked, and beside their keys the planner may read all that is old once more.
delete from send_attempts
where ctid = any(array(select ctid from send_attempts
                       where started_at < now() - $1::interval
                         and not exists (select from message_tracking as tracked
                                         where tracked.id = message_id and tracked.status = 'queued')
                         and not exists (select from deferred_messages as row
                                         where row.message_id = send_attempts.message_id)
                       order by started_at limit $2 for update skip locked));

-- name: prune_bodies
-- Not of what is under way: it is sent from them yet. One message after the other: joined with them, the planner may
-- read the whole table.
delete from outbound_bodies
where message_id = any(array(select message_id from outbound_bodies
                             where created_at < now() - $1::interval
                               and (select status from message_tracking as tracked
                                    where tracked.id = message_id) is distinct from 'queued'
                               and not exists (select from deferred_messages as row
                                               where row.message_id = outbound_bodies.message_id)
                             order by created_at limit $2 for update skip locked));
