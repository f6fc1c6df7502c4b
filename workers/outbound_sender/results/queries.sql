-- name: lock_messages
select id from message_tracking where id = any($1::uuid[]) order by id for update;

-- name: close_attempts
-- Attempts that end without ending their message. One that a status has closed meanwhile is not returned.
update send_attempts as attempt
set outcome = row.outcome, finished_at = now(), http_status = row.http_status, error_code = row.error_code,
    error_message = row.error_message
from unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::text[])
     as row (message_id, number, outcome, http_status, error_code, error_message)
where attempt.message_id = row.message_id and attempt.attempt = row.number and attempt.outcome is null
returning attempt.message_id;
