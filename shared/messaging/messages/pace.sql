-- name: read_pace
-- What was begun in the last $1, each counted up to $2. Of messages those that came in: others have attempts.
select (select count(*) filter (where direction = 'INBOUND')
        from (select direction from message_tracking where created_at > now() - $1::interval limit $2) as made) as inbound,
       (select count(*) from (select from send_attempts where started_at > now() - $1::interval limit $2) as begun)
           as attempts,
       (select count(*) from (select from status_events where received_at > now() - $1::interval limit $2) as heard)
           as statuses;
