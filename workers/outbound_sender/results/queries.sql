-- name: lock_messages
select id from message_tracking where id = any($1::uuid[]) order by id for update;
