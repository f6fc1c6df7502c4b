-- name: claim_publication
-- One replica publishes; a claim whose lease ran out is taken over, one's own goes on after an error.
update message_tracking
set publish_claimed_until = now() + $2::interval, publish_claimed_by = $3
where wamid = any($1::text[]) and published_at is null
  and (publish_claimed_until is null or publish_claimed_until < now() or publish_claimed_by = $3)
returning wamid;

-- name: extend_claim
-- The publisher is at it still; where another has taken over meanwhile, it changes nothing.
update message_tracking set publish_claimed_until = now() + $2::interval
where wamid = any($1::text[]) and published_at is null and publish_claimed_by = $3;

-- name: mark_published
update message_tracking set published_at = now()
where wamid = any($1::text[]) and published_at is null;

-- name: keep_mended
-- Rows of messages whose body held characters that no text can: the body as it came.
update message_tracking as tracked set metadata = coalesce(tracked.metadata, '{}') || given.said::jsonb
from unnest($1::text[], $2::text[]) as given (wamid, said)
where tracked.wamid = given.wamid and tracked.direction = 'INBOUND' and not coalesce(tracked.metadata, '{}') ? 'mended';

-- name: name_message
-- The agent platform's id of the customer's message, by which its statuses come back.
update message_tracking as tracked
set genesys_message_id = $2, updated_at = now()
where tracked.wamid = $1 and tracked.genesys_message_id is null
  and not exists (select from message_tracking as other
                  where other.genesys_message_id = $2 and other.replay_of is null);
