-- name: close_attempts
-- Attempts that end without ending their message. One that a status has closed meanwhile is not returned.
update send_attempts as attempt
set outcome = row.outcome, finished_at = now(), http_status = row.http_status, error_code = row.error_code,
    error_message = row.error_message
from unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::text[])
     as row (message_id, number, outcome, http_status, error_code, error_message)
where attempt.message_id = row.message_id and attempt.attempt = row.number and attempt.outcome is null
returning attempt.message_id;

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

-- name: give_up_undecided
update send_attempts
set outcome = 'failed', finished_at = coalesce(finished_at, now()), error_code = 'send_ambiguous'
where message_id = any($1::uuid[]) and (outcome is null or outcome = 'ambiguous')
returning message_id;
