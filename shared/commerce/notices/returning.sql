-- name: return
-- Only what is queued: whoever took one back in the meantime has said why.
with given as (
    select notice.id, row.status, row.reason
    from unnest($1::uuid[], $2::text[], $3::text[]) as row (id, status, reason)
    join notification_log as notice on notice.id = row.id
    where notice.status = 'queued'
    order by notice.id
    for update of notice
)
update notification_log as notice
set status = given.status, skip_reason = given.reason, reserved_at = null, message_id = null,
    not_before = case given.status when 'pending' then now() end, claimed_until = null,
    revision = revision + 1, updated_at = now()
from given
where notice.id = given.id;

-- name: bind
update notification_log as notice
set message_id = row.message_id, updated_at = now()
from unnest($1::uuid[], $2::uuid[]) as row (id, message_id)
where notice.id = row.id and notice.status = 'queued' and notice.message_id is distinct from row.message_id;
