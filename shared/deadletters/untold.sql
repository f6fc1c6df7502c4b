-- name: keep_untold
-- Of a replay that died the end is its new dead letter's: to be told ($1), or told ($2 names what it replayed).
update dead_letter_queue set untold = id = any($1::uuid[])
where id = any($1::uuid[]) or (id = any($2::uuid[]) and untold);

-- name: claim_untold
-- No time is read: of one that a client cannot hold, the end would never be told.
update dead_letter_queue as letter
set untold = false
from (select id from dead_letter_queue
      where id = any($1::uuid[]) and untold
        and (status = 'dismissed' or (not automatic and status <> 'replayed'))
        and (status <> 'replaying' or claimed_until < now())
      order by id for update skip locked) as over
where letter.id = over.id
returning letter.id, letter.source_queue, letter.exchange, letter.routing_key, letter.reason, letter.error_message,
          letter.raw_body, letter.headers, letter.attempts, letter.metadata, letter.message_id;
