-- name: rename
-- Locked in the order in which everyone locks notices.
with theirs as (
    select id from notification_log where customer_phone = any($1::text[]) order by id for no key update
)
update notification_log as notice
set customer_phone = $2, updated_at = now()
from theirs
where notice.id = theirs.id;

-- name: rename_reengagement
update reengagement set customer_phone = $2 where customer_phone = any($1::text[]);
