-- name: count
-- Notices that wait for a decision and are nobody's, up to so many ($1).
select count(*)::int
from (select from notification_log
      where not_before <= now() and (claimed_until is null or claimed_until < now())
        and not exists (select from rows_set_aside where job = 'notices' and row_key = notification_log.id::text)
      limit $1) as due;

-- name: count_pending
-- By kind, up to so many ($1): what was decided has no time.
select kind, count(*)
from (select kind from notification_log where not_before is not null limit $1) as pending
group by kind;
